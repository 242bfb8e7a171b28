//! Services without endpoints: EndpointSlices may not hold loopback addresses, so ingress controllers are
//! told to dial ClusterIPs. They read that from an annotation of each Ingress; a mutating admission policy
//! stands for the administrator who would have written it, on Ingresses that Vestibule makes too.

use anyhow::{Result, ensure};

use super::Cluster;
use crate::bench::Wait;

impl Cluster {
    /// Has every Ingress made from now on annotated with `service-upstream: "true"`.
    pub async fn ingresses_lead_to_cluster_ips(&self) -> Result<()> {
        self.services_policy
            .get_or_try_init(async || {
                self.apply(POLICY).await?;
                Wait::seconds(60)
                    .until("the policy of the bench is in force", async || {
                        let dry_run = [
                            "create",
                            "--dry-run=server",
                            "-o",
                            "yaml",
                            "ingress",
                            "probe",
                        ];
                        let rule = ["--rule=probe.test/*=probe:80"];
                        let made = self.kubectl(&[&dry_run[..], &rule[..]].concat()).await?;
                        ensure!(
                            made.contains("service-upstream"),
                            "no Ingress is annotated yet"
                        );
                        Ok(())
                    })
                    .await
            })
            .await
            .copied()
    }
}

const POLICY: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: bench-service-upstream}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules:
    - apiGroups: [networking.k8s.io]
      apiVersions: [v1]
      operations: [CREATE]
      resources: [ingresses]
  matchConditions:
  - name: unset
    expression: object.metadata.?annotations[?"nginx.ingress.kubernetes.io/service-upstream"].orValue("") == ""
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: >-
        Object{metadata: Object.metadata{annotations: {"nginx.ingress.kubernetes.io/service-upstream": "true"}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: bench-service-upstream}
spec: {policyName: bench-service-upstream}
"#;
