{{- define "farebox.labels" -}}
app.kubernetes.io/name: farebox
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Labels that select a component's pods: never changed. Arguments: root, component. */}}
{{- define "farebox.selector" -}}
app.kubernetes.io/name: farebox
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/*
A component's Deployment and PodDisruptionBudget. Arguments: root, component, command (a list), settings (a table: tag,
resources), replicas (0 and more; -1: an autoscaler's), graceSeconds, http (whether it serves the API).
*/}}
{{- define "farebox.deployment" -}}
{{- $root := .root }}
{{- $name := printf "%s-%s" $root.Release.Name .component }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels:
    {{- include "farebox.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  {{- if ge (int .replicas) 0 }}
  replicas: {{ .replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "farebox.selector" . | nindent 6 }}
  strategy:
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  template:
    metadata:
      labels:
        {{- include "farebox.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
      annotations:
        # Processes read settings when they start: changed ones replace the pods.
        farebox/settings: {{ list $root.Values.publicUrl $root.Values.gateway.trustedProxies $root.Values.settings | toJson | sha256sum }}
        {{- with $root.Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ $root.Release.Name }}
      automountServiceAccountToken: false
      # Or a Service named farebox would set FAREBOX_PORT.
      enableServiceLinks: false
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      # Above the process's own grace: with it, what still runs is handed back and connections are closed.
      terminationGracePeriodSeconds: {{ add .graceSeconds 30 }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        seccompProfile:
          type: RuntimeDefault
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "farebox.selector" . | nindent 14 }}
      {{- with $root.Values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: farebox
          image: "{{ $root.Values.image.repository }}:{{ .settings.tag | default $root.Values.image.tag | default $root.Chart.AppVersion }}"
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args:
            {{- toYaml .command | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          envFrom:
            - secretRef:
                name: {{ $root.Values.secretName }}
            - configMapRef:
                name: {{ $root.Release.Name }}-settings
          env:
            - name: FAREBOX_GRACE_SECONDS
              value: {{ .graceSeconds | quote }}
          ports:
            {{- if .http }}
            - name: http
              containerPort: 8080
            {{- end }}
            - name: metrics
              containerPort: 9100
          {{- if .http }}
          startupProbe:
            httpGet: { path: /healthz, port: http }
            periodSeconds: 2
            failureThreshold: 30
          readinessProbe:
            httpGet: { path: /readyz, port: http }
            periodSeconds: 5
            timeoutSeconds: 3
          livenessProbe:
            httpGet: { path: /healthz, port: http }
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          lifecycle:
            preStop:
              exec:
                # Until load balancers have taken it out: meanwhile it serves.
                command: [sleep, "5"]
          {{- else }}
          startupProbe:
            tcpSocket: { port: metrics }
            periodSeconds: 2
            failureThreshold: 30
          livenessProbe:
            httpGet: { path: /metrics, port: metrics }
            periodSeconds: 30
            timeoutSeconds: 10
            failureThreshold: 4
          {{- end }}
          resources:
            {{- toYaml .settings.resources | nindent 12 }}
          volumeMounts:
            - { name: data, mountPath: /data }
            - { name: tmp, mountPath: /tmp }
            - { name: rate-card, mountPath: /etc/farebox, readOnly: true }
      volumes:
        # Nothing that must outlive a pod: keys are in the Secret, outputs in a bucket, the ledger in Redis.
        - name: data
          emptyDir: {}
        - name: tmp
          emptyDir: {}
        - name: rate-card
          configMap:
            name: {{ $root.Values.rateCard.existingConfigMap | default (printf "%s-rate-card" $root.Release.Name) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels:
    {{- include "farebox.labels" $root | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "farebox.selector" . | nindent 6 }}
{{- end }}
