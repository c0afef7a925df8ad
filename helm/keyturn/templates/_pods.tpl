{{/* Where pods run, and how their images are pulled; takes a list of the root, the name of a component, and its values. */}}
{{- define "keyturn.placement" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index . 2 -}}
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- $own := dict "labelSelector" (dict "matchLabels" (include "keyturn.selector" (list $root $component) | fromYaml)) }}
  - {{- include "keyturn.layered" (list $own .) | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Variables of a user: numbers and booleans are written as text. */}}
{{- define "keyturn.variables" -}}
{{- range . }}
{{- if hasKey . "value" }}
- name: {{ .name | quote }}
  value: {{ ternary .value (toJson .value) (kindIs "string" .value) | quote }}
{{- else }}
- {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "keyturn.image" -}}
{{- $image := .Values.operator.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{- define "keyturn.pullPolicy" -}}
{{- .Values.operator.image.pullPolicy | default .Values.operator.imagePullPolicy -}}
{{- end }}

{{/* The bounds of a PodDisruptionBudget: one of the two, since the API allows no more. */}}
{{- define "keyturn.budget" -}}
{{- if and .minAvailable (ne (toString .minAvailable) "0") -}}
minAvailable: {{ .minAvailable | toJson }}
{{- else -}}
maxUnavailable: {{ .maxUnavailable | toJson }}
{{- end -}}
{{- end }}
