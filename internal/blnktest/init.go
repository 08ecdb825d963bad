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
	stock := flags.Bool("stock", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config := Config{Server: ServerConfig{Secure: !*open, SecretKey: key, Port: fmt.Sprint(*port), MetricsBearerToken: *token}}
	config.Notification.Webhook.URL = *webhook
	if *stock {
		return config.writeStock(*dir)
	}
	return config.Write(*dir)
}

// writeStock makes dir/blnk.json as Blnk's installer does: nothing in it says that there
// is a secure mode, and everybody may read it.
func (c *Config) writeStock(dir string) error {
	if err := c.complete(); err != nil {
		return err
	}
	path := filepath.Join(dir, ConfigName)
	text := fmt.Sprintf("{\n  \"project_name\": \"Blnk\",\n  \"data_source\": {\n    \"dns\": %q\n  },\n  \"redis\": {\n    \"dns\": %q\n  },\n  \"server\": {\n    \"port\": %q\n  }\n}\n",
		c.DataSource.Dns, c.Redis.Dns, c.Server.Port)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Chmod(path, 0o644)
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
	if err := c.complete(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, ConfigName), append(text, '\n'), 0o600)
}

func (c *Config) complete() error {
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
	return nil
}
