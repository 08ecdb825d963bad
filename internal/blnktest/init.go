package blnktest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// Init writes a blnk.json as the deploy guide has it, with the key: `blnk-standin
// init` with its arguments.
func Init(args []string, key string) error {
	flags := flag.NewFlagSet("init", flag.ContinueOnError)
	dir := flags.String("dir", ".", "")
	port := flags.Int("port", 0, "")
	open := flags.Bool("open", false, "")
	webhook := flags.String("webhook", "", "")
	token := flags.String("metrics-token", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config := Config{Server: ServerConfig{Secure: !*open, SecretKey: key, Port: fmt.Sprint(*port), MetricsBearerToken: *token}}
	config.Notification.Webhook.URL = *webhook
	return config.Write(*dir)
}

func initFolder(args []string) error {
	key, err := readKey(os.Stdin)
	if err != nil {
		return err
	}
	return Init(args, key)
}

// Write makes dir/blnk.json from the configuration, mode 0600. What a server
// needs to start and the configuration lacks is filled in: the DSNs, and a
// free port where it is "" or "0".
func (c *Config) Write(dir string) error {
	if c.Server.Port == "" || c.Server.Port == "0" {
		port, err := FreePort()
		if err != nil {
			return err
		}
		c.Server.Port = fmt.Sprint(port)
	}
	if c.DataSource.Dns == "" {
		c.DataSource.Dns = "postgres://postgres:password@postgres:5432/blnk?sslmode=disable"
	}
	if c.Redis.Dns == "" {
		c.Redis.Dns = "redis:6379"
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, ConfigName), append(text, '\n'), 0o600)
}
