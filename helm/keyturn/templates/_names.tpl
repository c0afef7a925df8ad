{{- define "keyturn.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "keyturn.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "keyturn.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "keyturn.serviceAccount" -}}
{{- $given := .Values.operator.serviceAccount -}}
{{- $given.name | default (ternary (include "keyturn.fullname" .) "default" $given.create) -}}
{{- end }}

{{- define "keyturn.connect.serviceAccount" -}}
{{- $given := .Values.connect.serviceAccount -}}
{{- $given.name | default (ternary .Values.connect.applicationName "default" $given.create) -}}
{{- end }}

{{/* What pods are selected by; takes a list of the root and the name of a component. */}}
{{- define "keyturn.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "keyturn.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of an object; takes a list of the root, the name of a component, and further labels. A label of ours wins. */}}
{{- define "keyturn.labels" -}}
{{- $root := index . 0 -}}
{{- $ours := include "keyturn.selector" (list $root (index . 1)) | fromYaml -}}
{{- $_ := set $ours "app.kubernetes.io/version" ($root.Chart.AppVersion | toString) -}}
{{- $_ := set $ours "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $ours "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- toYaml (merge $ours (deepCopy (index . 2)) (deepCopy $root.Values.commonLabels)) -}}
{{- end }}

{{/* Labels of pods: an update of the chart alone must not roll them, so there is no version among them. */}}
{{- define "keyturn.podLabels" -}}
{{- $root := index . 0 -}}
{{- $ours := include "keyturn.selector" (list $root (index . 1)) | fromYaml -}}
{{- toYaml (merge $ours (deepCopy (index . 2)) (deepCopy $root.Values.commonLabels)) -}}
{{- end }}
