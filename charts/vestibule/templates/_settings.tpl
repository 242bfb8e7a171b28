{{/*
The settings that controller, auth endpoint and admission policy must hold equal. The Ingress annotations are a pure
function of these, the Ingress's namespace and its name (docs/install.md), so they are computed once, here.
*/}}

{{- define "vestibule.checkUrl" -}}
{{- $service := printf "%s-auth.%s.svc.%s" (include "vestibule.fullname" .) .Release.Namespace .Values.clusterDomain -}}
{{- default (printf "http://%s:4181" $service) .Values.checkUrl -}}
{{- end -}}

{{/* Nothing for the scheme's own port: browsers leave it out of Host and of Origin, and so do we. */}}
{{- define "vestibule.portSuffix" -}}
{{- $own := ternary 443 80 (eq .Values.publicScheme "https") -}}
{{- $port := int .Values.publicPort -}}
{{- if and $port (ne $port $own) }}:{{ $port }}{{ end -}}
{{- end -}}

{{- define "vestibule.sharedArgs" -}}
- --instance={{ include "vestibule.instance" . }}
- --namespace={{ .Release.Namespace }}
{{- range .Values.ingressClasses }}
- --ingress-class={{ . }}
{{- end }}
{{- range .Values.dataPlanes }}
- --data-plane={{ . }}
{{- end }}
- --public-scheme={{ .Values.publicScheme }}
{{- if .Values.insecureHttp }}
- --insecure-http
{{- end }}
{{- with int .Values.publicPort }}
- --public-port={{ . }}
{{- end }}
- --endpoint-prefix={{ .Values.endpointPrefix }}
{{- with .Values.authHost.host }}
- --auth-host={{ . }}
{{- end }}
{{- range .Values.identityHeaders }}
- --identity-header={{ . }}
{{- end }}
- --session-keys-secret={{ include "vestibule.sessionKeysSecret" . }}
- --max-session={{ .Values.session.maxDuration }}
- --log-format={{ .Values.log.format }}
- {{ printf "--log-level=%s" .Values.log.level | quote }}
{{- end -}}

{{/* What a schema can say only obscurely. */}}
{{- define "vestibule.refuseContradictions" -}}
{{- if and (eq .Values.publicScheme "http") (not .Values.insecureHttp) -}}
{{- fail "publicScheme is http: sessions would cross the network readable by anyone on it. If that is meant, set insecureHttp to true; otherwise leave publicScheme at https." -}}
{{- end -}}
{{- if and .Values.insecureHttp (ne .Values.publicScheme "http") -}}
{{- fail "insecureHttp is true but publicScheme is https: set insecureHttp to false." -}}
{{- end -}}
{{- if has .Release.Namespace (list "kube-system" "kube-public" "kube-node-lease") -}}
{{- fail (printf "Vestibule reads the Secrets of the namespace it is installed in; %s is not a place for that. Install it into a namespace of its own: --namespace vestibule --create-namespace." .Release.Namespace) -}}
{{- end -}}
{{- end -}}

{{/* CEL: the names that an Ingress is served under besides those in its rules. Takes the variable that holds it. */}}
{{- define "vestibule.aliasesOf" -}}
{{ . }}.metadata.?annotations[?'nginx.ingress.kubernetes.io/server-alias'].orValue('').lowerAscii().split(',').map(alias, alias.trim()).filter(alias, alias != '')
{{- end -}}
