{{/* The release's name, with the chart's name in it: it names every object and, unless `instance` says otherwise, the installation. */}}
{{- define "vestibule.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "vestibule.instance" -}}
{{- default (include "vestibule.fullname" .) .Values.instance -}}
{{- end -}}

{{- define "vestibule.sessionKeysSecret" -}}
{{- default (printf "%s-session-keys" (include "vestibule.instance" .)) .Values.session.keysSecret -}}
{{- end -}}

{{- define "vestibule.lease" -}}
{{- printf "%s-controller" (include "vestibule.instance" .) -}}
{{- end -}}

{{/* Takes {root, component}. */}}
{{- define "vestibule.serviceAccount" -}}
{{- $account := (index .root.Values .component).serviceAccount -}}
{{- if $account.create -}}
{{- default (printf "%s-%s" (include "vestibule.fullname" .root) .component) $account.name -}}
{{- else -}}
{{- required (printf "%s.serviceAccount.create is false: set %s.serviceAccount.name to the account to use" .component .component) $account.name -}}
{{- end -}}
{{- end -}}

{{- define "vestibule.image" -}}
{{- $image := .Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default .Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}

{{/* Takes {root, component}; no component for what both share. */}}
{{- define "vestibule.labels" -}}
{{ include "vestibule.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: vestibule
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "vestibule.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}
