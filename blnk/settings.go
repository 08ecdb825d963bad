package blnk

// FileName is the configuration file that the server and the workers read in
// their working directory, once, at start, whatever --config says (Blnk
// cmd/main.go, preRun).
const FileName = "blnk.json"

// DefaultPort is what the server listens on where nothing says otherwise (Blnk
// config/config.go).
const DefaultPort = "5001"

// A Name names a setting of Blnk, by its path in blnk.json.
type Name string

// The settings that matter to a key.
const (
	SecretKey          Name = "server.secret_key"
	Secure             Name = "server.secure"
	Port               Name = "server.port"
	SSL                Name = "server.ssl" // only a wrong value has an effect, since 0.13.0
	MetricsToken       Name = "server.metrics_bearer_token"
	TokenizationSecret Name = "tokenization_secret"
	Observability      Name = "enable_observability" // without it there is no /metrics
	Database           Name = "data_source.dns"
	Redis              Name = "redis.dns"
	WebhookURL         Name = "notification.webhook.url"
	MonitoringPort     Name = "queue.monitoring_port" // of the workers; "" is DefaultMonitoringPort
	Typesense          Name = "typesense.dns"
	TypesenseKey       Name = "type_sense_key" // "" is StockTypesenseKey (Blnk config/config.go)
)

// What the stock files and Blnk itself use where nobody says otherwise (Blnk
// docker-compose.yaml, blnk-init.sh, config/config.go).
const (
	DefaultMonitoringPort = "5004"
	StockPassword         = "password" // of Postgres
	StockTypesenseKey     = "blnk-api-key"
)

// A Setting is where the value of one setting can stand.
type Setting struct {
	Name Name
	Env  string // the environment variable, which wins over the file
	// Twin is the same with the prefix of the section in front, which wins
	// over Env: the library that reads the environment looks for it first
	// (kelseyhightower/envconfig, Process with prefix "blnk").
	Twin string
	// Bool says that the value must be one: any other, also an empty
	// variable, stops the start.
	Bool bool
}

// Settings returns the table of settings (Blnk config/config.go).
func Settings() []Setting {
	return []Setting{
		{Name: SecretKey, Env: "BLNK_SERVER_SECRET_KEY", Twin: "BLNK_SERVER_BLNK_SERVER_SECRET_KEY"},
		{Name: Secure, Env: "BLNK_SERVER_SECURE", Twin: "BLNK_SERVER_BLNK_SERVER_SECURE", Bool: true},
		{Name: Port, Env: "BLNK_SERVER_PORT", Twin: "BLNK_SERVER_BLNK_SERVER_PORT"},
		{Name: SSL, Env: "BLNK_SERVER_SSL", Twin: "BLNK_SERVER_BLNK_SERVER_SSL", Bool: true},
		{Name: MetricsToken, Env: "BLNK_METRICS_BEARER_TOKEN", Twin: "BLNK_SERVER_BLNK_METRICS_BEARER_TOKEN"},
		{Name: TokenizationSecret, Env: "BLNK_TOKENIZATION_SECRET", Twin: "BLNK_BLNK_TOKENIZATION_SECRET"},
		{Name: Observability, Env: "BLNK_ENABLE_OBSERVABILITY", Twin: "BLNK_BLNK_ENABLE_OBSERVABILITY", Bool: true},
		{Name: Database, Env: "BLNK_DATA_SOURCE_DNS", Twin: "BLNK_DATASOURCE_BLNK_DATA_SOURCE_DNS"},
		{Name: Redis, Env: "BLNK_REDIS_DNS", Twin: "BLNK_REDIS_BLNK_REDIS_DNS"},
		{Name: WebhookURL, Env: "BLNK_WEBHOOK_URL", Twin: "BLNK_NOTIFICATION_WEBHOOK_BLNK_WEBHOOK_URL"},
		{Name: MonitoringPort, Env: "BLNK_QUEUE_MONITORING_PORT", Twin: "BLNK_QUEUE_BLNK_QUEUE_MONITORING_PORT"},
		{Name: Typesense, Env: "BLNK_TYPESENSE_DNS", Twin: "BLNK_TYPESENSE_BLNK_TYPESENSE_DNS"},
		{Name: TypesenseKey, Env: "BLNK_TYPESENSE_KEY", Twin: "BLNK_BLNK_TYPESENSE_KEY"},
	}
}

// A Receiver gets webhooks that the master key signs; What says which ones.
type Receiver struct{ URL, What string }

// KeyVariables are the names under which the master key can stand in an
// environment, the one that wins first.
func KeyVariables() []string {
	key := Settings()[0]
	return []string{key.Twin, key.Env}
}
