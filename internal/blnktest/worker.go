package blnktest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Sign is what a worker puts into X-Blnk-Signature: the hexadecimal
// HMAC-SHA256 of "TIMESTAMP.BODY" (Blnk webhooks.go). timestamp is that of
// X-Blnk-Timestamp, in seconds since 1970.
func Sign(key, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// A Worker answers on the monitoring port of a worker process and sends
// webhooks, signed with the key that the process loaded at its start.
type Worker struct {
	server *Server
	client *http.Client
}

// NewWorker makes a worker with the configuration that a process would have
// loaded. It shares its data with the server.
func NewWorker(c Config, data *Data, opt Options) *Worker {
	return &Worker{server: NewServer(c, data, opt), client: &http.Client{Timeout: 2 * time.Minute}}
}

// ServeHTTP has Blnk's /health and /monitoring/, and a path of the stand-in's
// own: POST /deliver sends its body as a webhook to notification.webhook.url
// and to every active hook, or to the address in ?to= alone. It answers 200
// when all took it, else 502.
func (k *Worker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/health":
		reply(w, 200, map[string]string{"status": "UP", "service": "worker"})
	case r.URL.Path == "/monitoring/", r.URL.Path == "/metrics" && k.server.config.EnableObservability:
		k.server.metrics(w, r, "")
	case r.URL.Path == "/deliver" && r.Method == http.MethodPost:
		k.deliver(w, r)
	default:
		notFound(w)
	}
}

func (k *Worker) deliver(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !json.Valid(body) {
		reply(w, 400, map[string]string{"error": "want a JSON body"})
		return
	}
	for _, to := range k.receivers(r.URL.Query().Get("to")) {
		if err := k.send(to, body); err != nil {
			reply(w, 502, map[string]string{"error": err.Error()})
			return
		}
	}
	reply(w, 200, map[string]string{"status": "delivered"})
}

// A receiver is where a webhook goes. A hook is signed also by an empty key,
// the global webhook is not.
type receiver struct {
	url  string
	hook *Hook
}

func (k *Worker) receivers(only string) []receiver {
	if only != "" {
		return []receiver{{url: only}}
	}
	var to []receiver
	if url := k.server.config.Notification.Webhook.URL; url != "" {
		to = append(to, receiver{url: url})
	}
	hooks, _ := k.server.data.hooks.all() // without its data there are no hooks
	for _, h := range hooks {
		if h.Active {
			to = append(to, receiver{url: h.URL, hook: &h})
		}
	}
	return to
}

func (k *Worker) send(to receiver, body []byte) error {
	request, err := http.NewRequest(http.MethodPost, to.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	key := k.server.config.Server.SecretKey
	if key != "" || to.hook != nil {
		timestamp := strconv.FormatInt(time.Now().Unix(), 10)
		request.Header.Set("X-Blnk-Signature", Sign(key, timestamp, body))
		request.Header.Set("X-Blnk-Timestamp", timestamp)
	}
	if to.hook != nil {
		request.Header.Set("X-Hook-ID", to.hook.ID)
		request.Header.Set("X-Hook-Type", to.hook.Type)
	}
	response, err := k.client.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("webhook delivery failed with status %d", response.StatusCode)
	}
	return nil
}

// runWorker is `blnk workers`.
func runWorker(dir string, opt Options) error {
	config, err := Load(dir, os.LookupEnv)
	if err != nil {
		return fmt.Errorf("error loading config: %w", err)
	}
	port := config.Queue.MonitoringPort
	if own := os.Getenv("STANDIN_MONITORING_PORT"); own != "" {
		port = own
	}
	data := OpenData(stateDir(dir))
	return serve(port, NewWorker(config, data, opt), opt)
}
