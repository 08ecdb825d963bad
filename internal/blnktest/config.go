package blnktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ConfigName is the file that server and worker read in their working
// directory, whatever --config says (Blnk cmd/main.go, preRun).
const ConfigName = "blnk.json"

// Config is the part of Blnk's configuration that the stand-in knows, with the
// names of Blnk's own (Blnk config/config.go).
type Config struct {
	Server             ServerConfig       `json:"server"`
	DataSource         DSN                `json:"data_source"`
	Redis              DSN                `json:"redis"`
	TokenizationSecret string             `json:"tokenization_secret,omitempty"`
	Notification       NotificationConfig `json:"notification,omitzero"`
	RateLimit          RateLimitConfig    `json:"rate_limit,omitzero"`
	Queue              QueueConfig        `json:"queue,omitzero"`
	// EnableObservability gives the server its /metrics; without it that path
	// answers 404.
	EnableObservability bool `json:"enable_observability,omitempty"`
}

// ServerConfig is section "server".
type ServerConfig struct {
	SSL                bool   `json:"ssl,omitempty"` // without effect since 0.13.0
	Secure             bool   `json:"secure"`
	SecretKey          string `json:"secret_key"`
	Domain             string `json:"domain,omitempty"`
	Port               string `json:"port,omitempty"`
	MetricsBearerToken string `json:"metrics_bearer_token,omitempty"`
}

// DSN is a section that holds one address.
type DSN struct {
	Dns string `json:"dns"`
}

// NotificationConfig is section "notification".
type NotificationConfig struct {
	Webhook struct {
		URL string `json:"url,omitempty"`
	} `json:"webhook,omitzero"`
}

// RateLimitConfig is section "rate_limit". Without it nothing is limited.
type RateLimitConfig struct {
	RequestsPerSecond *float64 `json:"requests_per_second,omitempty"`
	Burst             *int     `json:"burst,omitempty"`
}

// QueueConfig is section "queue".
type QueueConfig struct {
	MonitoringPort string `json:"monitoring_port,omitempty"`
}

// Load reads dir/blnk.json and then the environment, which wins, in the order
// and with the errors of Blnk's loadConfigFromFile.
func Load(dir string, lookup func(string) (string, bool)) (Config, error) {
	var c Config
	path := filepath.Join(dir, ConfigName)
	// Any failure of Stat counts as "no file", not only a missing one.
	if _, err := os.Stat(path); err == nil {
		f, err := os.Open(path)
		if err != nil {
			return c, err
		}
		defer f.Close()
		if err := json.NewDecoder(f).Decode(&c); err != nil {
			return c, err
		}
	} else if errors.Is(err, fs.ErrNotExist) {
		say("config json not passed, will use env variables")
	}
	if err := c.applyEnvironment(lookup); err != nil {
		return c, err
	}
	if c.DataSource.Dns == "" {
		return c, errors.New("data source DNS is required")
	}
	if c.Redis.Dns == "" {
		return c, errors.New("redis DNS is required")
	}
	if c.Server.Port == "" {
		c.Server.Port = "5001"
	}
	if c.Queue.MonitoringPort == "" {
		c.Queue.MonitoringPort = "5004"
	}
	c.Server.Port = strings.TrimSpace(c.Server.Port)
	if !c.Server.Secure {
		say("SECURITY: server.secure is false: API authentication is DISABLED")
	}
	return c, nil
}

// applyEnvironment does what envconfig.Process("blnk", …) does: the name with
// the prefix of the section first, then the plain one; a variable that is set
// counts, also an empty one.
func (c *Config) applyEnvironment(lookup func(string) (string, bool)) error {
	text := func(at *string) func(string) error {
		return func(s string) error { *at = s; return nil }
	}
	truth := func(at *bool) func(string) error {
		return func(s string) (err error) { *at, err = strconv.ParseBool(s); return err }
	}
	for _, v := range []struct {
		prefix, name string
		set          func(string) error
	}{
		{"BLNK_SERVER", "BLNK_SERVER_SSL", truth(&c.Server.SSL)},
		{"BLNK_SERVER", "BLNK_SERVER_SECURE", truth(&c.Server.Secure)},
		{"BLNK_SERVER", "BLNK_SERVER_SECRET_KEY", text(&c.Server.SecretKey)},
		{"BLNK_SERVER", "BLNK_SERVER_SSL_DOMAIN", text(&c.Server.Domain)},
		{"BLNK_SERVER", "BLNK_SERVER_PORT", text(&c.Server.Port)},
		{"BLNK_SERVER", "BLNK_METRICS_BEARER_TOKEN", text(&c.Server.MetricsBearerToken)},
		{"BLNK_DATASOURCE", "BLNK_DATA_SOURCE_DNS", text(&c.DataSource.Dns)},
		{"BLNK_REDIS", "BLNK_REDIS_DNS", text(&c.Redis.Dns)},
		{"BLNK", "BLNK_TOKENIZATION_SECRET", text(&c.TokenizationSecret)},
		{"BLNK_NOTIFICATION_WEBHOOK", "BLNK_WEBHOOK_URL", text(&c.Notification.Webhook.URL)},
		{"BLNK", "BLNK_ENABLE_OBSERVABILITY", truth(&c.EnableObservability)},
		{"BLNK_QUEUE", "BLNK_QUEUE_MONITORING_PORT", text(&c.Queue.MonitoringPort)},
	} {
		name := v.prefix + "_" + v.name
		value, ok := lookup(name)
		if !ok {
			value, ok = lookup(v.name)
		}
		if !ok {
			continue
		}
		if err := v.set(value); err != nil {
			return fmt.Errorf("envconfig.Process: assigning %s: %w", name, err)
		}
	}
	return nil
}
