{{/* Where the chart mounts what the operator reads. */}}
{{- define "keyturn.configFile" -}}/etc/keyturn/keyturn.yaml{{- end }}
{{- define "keyturn.tokenFolder" -}}/var/run/secrets/keyturn/token{{- end }}
{{- define "keyturn.caFolder" -}}/etc/keyturn-ca{{- end }}

{{- define "keyturn.connectUrl" -}}
{{- $connect := .Values.connect -}}
{{- if $connect.create -}}
{{- $host := $connect.host | default $connect.applicationName -}}
{{- if $connect.tls.enabled -}}
{{- printf "https://%s:%v" $host (int $connect.api.httpsPort) -}}
{{- else -}}
{{- printf "http://%s:%v" $host (int $connect.api.httpPort) -}}
{{- end -}}
{{- else -}}
{{- required "operator.connectUrl is not set: give the URL of your Connect server, for instance --set operator.connectUrl=http://onepassword-connect:8080, or let the chart run one with --set connect.create=true" .Values.operator.connectUrl -}}
{{- end -}}
{{- end }}

{{/* Keys of the configuration file that have a value of the same name. */}}
{{- define "keyturn.settings" -}}
{{- $operator := .Values.operator -}}
{{- $settings := dict "leaderElect" true "healthProbeBindAddress" (printf ":%v" (int $operator.probes.port)) -}}
{{- range list "requireConnectTls" "pollingInterval" "enableAnnotations" "allowEmptyValues" "autoRestart" "restartMode" "restartDebounce" "maxRestarts" "maxRestartsPerNamespace" "metricsSecure" "metricsNamespaceLabel" "logLevel" "logFormat" "auditLogMaxsize" "auditLogMaxbackup" "auditRequired" -}}
{{- $_ := set $settings . (get $operator .) -}}
{{- end -}}
{{- range $key := list "clusterName" "auditLogPath" -}}
{{- with get $operator $key -}}{{- $_ := set $settings $key . -}}{{- end -}}
{{- end -}}
{{- include "keyturn.layered" (list $settings $operator.config) -}}
{{- end }}

{{/* Settings that the chart has to know of, since something else depends on them. */}}
{{- define "keyturn.refuseReservedSettings" -}}
{{- $cures := dict
  "connectHost" "set operator.connectUrl"
  "connectTokenFile" "set operator.token.name"
  "connectCaFile" "set operator.tls.trust"
  "vaultPolicy" "set operator.vaultPolicy"
  "watchNamespace" "set operator.watchNamespace, by which permissions are granted"
  "metricsSecure" "set operator.metricsSecure, by which permissions are granted"
  "metricsBindAddress" "the Service expects port 8080"
  "healthProbeBindAddress" "set operator.probes.port"
  "leaderElect" "it is always on"
-}}
{{- range $key, $cure := $cures -}}
{{- if hasKey ($.Values.operator.config | default dict) $key -}}
{{- fail (printf "operator.config.%s has another place: %s" $key $cure) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A value stands in the Deployment and in what Helm keeps of the release. The message does not repeat it. */}}
{{- define "keyturn.refuseCredentialsInUrls" -}}
{{- $cures := dict
  "connectUrl" "remove it; Connect asks for the token in the Secret of operator.token.name alone"
  "httpsProxy" "leave operator.httpsProxy empty, and set HTTPS_PROXY from a Secret in operator.customEnvVars"
  "httpProxy" "leave operator.httpProxy empty, and set HTTP_PROXY from a Secret in operator.customEnvVars"
-}}
{{- range $key, $cure := $cures -}}
{{- if contains "@" (get $.Values.operator $key | default "") -}}
{{- fail (printf "operator.%s holds what stands before an @, a user or a password, which everybody could read in the Deployment and in the release: %s" $key $cure) -}}
{{- end -}}
{{- end -}}
{{- end }}
