{{/*
Values of the official chart that are not those of this one. The schema knows them, so that whoever carries a values file over is told what to do
instead; docs/migrating.md has the whole table.
*/}}
{{- define "keyturn.refuseOfficialValues" -}}
{{- $operator := .Values.operator -}}
{{- $connect := .Values.connect -}}
{{- $cures := dict
  "operator.applicationName" (list (hasKey $operator "applicationName") "set fullnameOverride")
  "operator.imageRepository" (list $operator.imageRepository "it names the image of another operator; remove it, or set operator.image.repository")
  "operator.version" (list $operator.version "it is the version of another operator; remove it, or set operator.image.tag")
  "operator.token.value" (list $operator.token.value (printf "secrets do not belong into values; run kubectl create secret generic %s --from-file=%s=FILE and remove it" $operator.token.name $operator.token.key))
  "operator.authMethod" (list (eq ($operator.authMethod | default "connect" | toString) "service-account") "items are read from a Connect server only; set connect, or remove it")
  "operator.serviceAccountToken.value" (list (dig "serviceAccountToken" "value" "" $operator) "items are read from a Connect server only; set operator.token.name and operator.connectUrl")
  "operator.roleBinding.create" (list (eq (dig "roleBinding" "create" "" $operator | toString) "false") "set operator.rbac.create to false")
  "operator.clusterRole.create" (list (eq (dig "clusterRole" "create" "" $operator | toString) "false") "set operator.rbac.create to false")
  "operator.clusterRoleBinding.create" (list (eq (dig "clusterRoleBinding" "create" "" $operator | toString) "false") "set operator.rbac.create to false")
  "operator.hpa.enabled" (list (dig "hpa" "enabled" false $operator) "one replica works while the others wait, so more do not help; set operator.replicas to 2 or 3")
  "connect.credentials" (list $connect.credentials (printf "secrets do not belong into values; run base64 < 1password-credentials.json | tr -d '\\n' | kubectl create secret generic %s --from-file=%s=/dev/stdin and remove it" $connect.credentialsName $connect.credentialsKey))
  "connect.credentials_base64" (list $connect.credentials_base64 (printf "secrets do not belong into values; run base64 < 1password-credentials.json | tr -d '\\n' | kubectl create secret generic %s --from-file=%s=/dev/stdin and remove it" $connect.credentialsName $connect.credentialsKey))
  "connect.hpa.enabled" (list (dig "hpa" "enabled" false $connect) "set connect.replicas, or make a HorizontalPodAutoscaler of your own")
  "connect.ingress.enabled" (list (dig "ingress" "enabled" false $connect) (printf "the operator needs none; make an Ingress of your own for the Service %s" $connect.applicationName))
  "connect.httpRoute.enabled" (list (dig "httpRoute" "enabled" false $connect) (printf "the operator needs none; make an HTTPRoute of your own for the Service %s" $connect.applicationName))
  "connect.profiler.enabled" (list (dig "profiler" "enabled" false $connect) "set the variables OP_PROFILER_* in connect.customEnvVars")
  "acceptanceTests.enabled" (list (dig "enabled" false (.Values.acceptanceTests | default dict)) "run keyturn doctor in the pod of the operator")
-}}
{{- range $value, $cure := $cures -}}
{{- if index $cure 0 -}}
{{- fail (printf "%s is a value of the official chart that this one does not have: %s" $value (index $cure 1)) -}}
{{- end -}}
{{- end -}}
{{- end }}
