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

{{/*
What is not in a namespace, told apart by release and namespace. No name of a namespace or a release has a colon: with a hyphen,
a-keyturn in team would be keyturn in team-a.
*/}}
{{- define "keyturn.clusterWide" -}}
{{- printf "%s:%s" .Release.Namespace (include "keyturn.fullname" .) -}}
{{- end }}

{{/* Never the account "default": every pod of the namespace that names none would get the permissions. */}}
{{- define "keyturn.serviceAccount" -}}
{{- $given := .Values.operator.serviceAccount -}}
{{- if $given.create -}}
{{- $given.name | default (include "keyturn.fullname" .) -}}
{{- else -}}
{{- required "operator.serviceAccount.name is not set: with operator.serviceAccount.create=false name an account of the operator's own; the permissions of the account default would be those of every pod in the namespace" $given.name -}}
{{- end -}}
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

{{/* Maps on top of each other: the last that has a key counts, whatever it holds. (merge takes false, 0 and empty texts for nothing.) */}}
{{- define "keyturn.layered" -}}
{{- $all := dict -}}
{{- range $layer := . -}}
{{- range $key, $value := $layer -}}
{{- $_ := set $all $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $all -}}
{{- end }}

{{/* Labels of an object; takes a list of the root, the name of a component, and further labels. A label of ours wins. */}}
{{- define "keyturn.labels" -}}
{{- $root := index . 0 -}}
{{- $chart := printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- $ours := include "keyturn.selector" (list $root (index . 1)) | fromYaml -}}
{{- $about := dict "app.kubernetes.io/version" $root.Chart.AppVersion "app.kubernetes.io/managed-by" $root.Release.Service "helm.sh/chart" $chart -}}
{{- include "keyturn.layered" (list $root.Values.commonLabels (index . 2) $about $ours) -}}
{{- end }}

{{/* Labels of pods: another version of the chart alone must not roll them, so there is none among them. */}}
{{- define "keyturn.podLabels" -}}
{{- $root := index . 0 -}}
{{- $ours := include "keyturn.selector" (list $root (index . 1)) | fromYaml -}}
{{- include "keyturn.layered" (list $root.Values.commonLabels (index . 2) $ours) -}}
{{- end }}
