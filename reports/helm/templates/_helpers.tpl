{{- define "slo.definitions" -}}
{{ default (printf "%s-definitions" .Release.Name) .Values.existingDefinitions }}
{{- end -}}
