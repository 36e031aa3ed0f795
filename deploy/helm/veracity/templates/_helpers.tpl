{{- define "veracity.name" -}}
{{- if contains "veracity" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-veracity{{ end -}}
{{- end }}

{{- /* Which pods: the release's, of one component. Called with (list . "server"). */}}
{{- define "veracity.selector" -}}
app.kubernetes.io/name: veracity
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "veracity.labels" -}}
{{ include "veracity.selector" . }}
app.kubernetes.io/part-of: veracity
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{- /* Called with (list . image). */}}
{{- define "veracity.image" -}}
{{ (index . 1).repository }}:{{ (index . 1).tag | default (index . 0).Chart.AppVersion }}
{{- end }}

{{- define "veracity.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
{{- if eq (int .) 1000 }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "veracity.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* Settings as variables of the environment. Called with (list "VERACITY_" settings). */}}
{{- define "veracity.env" -}}
{{- $prefix := index . 0 }}
{{- range $name, $value := index . 1 }}
{{- if kindIs "slice" $value }}
- {name: {{ $prefix }}{{ upper $name }}, value: {{ toJson $value | quote }}}
{{- else if kindIs "float64" $value }}
- {name: {{ $prefix }}{{ upper $name }}, value: {{ ternary (printf "%d" (int64 $value)) (toString $value) (eq $value (floor $value)) | quote }}}
{{- else }}
- {name: {{ $prefix }}{{ upper $name }}, value: {{ toString $value | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "veracity.probe" -}}
httpGet: {path: {{ index . 1 }}, port: {{ index . 2 }}{{ if index . 0 }}, scheme: HTTPS{{ end }}}
{{- end }}

{{- /* The extended resource that a replica takes, empty on CPUs. */}}
{{- define "veracity.resource" -}}
{{- $own := dict "cpu" "" "gpu" "nvidia.com/gpu" "mig" "nvidia.com/mig-1g.10gb" "mps" "nvidia.com/gpu.shared" "time-slicing" "nvidia.com/gpu.shared" }}
{{- .Values.accelerator.resource | default (get $own .Values.accelerator.kind) }}
{{- end }}

{{- define "veracity.behavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies:
    - {type: Percent, value: 100, periodSeconds: 60}
    - {type: Pods, value: 2, periodSeconds: 60}
# A server takes minutes to load: not for every lull.
scaleDown:
  stabilizationWindowSeconds: 600
  policies:
    - {type: Pods, value: 1, periodSeconds: 180}
{{- end }}
