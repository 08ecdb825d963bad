package doctor

// GuideURL is the guide that the rules are numbered after.
const GuideURL = "https://docs.blnkfinance.com/advanced/secure-blnk"

// A Sentence is one thing that the guide asks for. Number is its step in the check
// list and its place there; step 0 is the section before it, "Enable authentication".
type Sentence struct {
	Number string
	Text   string // in our words
	// Person is what somebody has to do where no rule can look; "" where rules can.
	Person string
}

// Guide is the check list of GuideURL (as of 2026-11).
func Guide() []Sentence {
	return []Sentence{
		{Number: "0.1", Text: "secure mode is on"},
		{Number: "0.2", Text: "requests carry a key that the server knows", Person: "clients send it as X-Blnk-Key; blnkctl api does"},
		{Number: "1.1", Text: "the master key is strong and random"},
		{Number: "1.2", Text: "it is shared with nobody and in no version control"},
		{Number: "1.3", Text: "it stands where Blnk reads it or in a secret manager, and nowhere else"},
		{Number: "1.4", Text: "it is rotated on a schedule"},
		{Number: "2.1", Text: "blnk.json is ignored by version control"},
		{Number: "2.2", Text: "what is secret in the configuration is kept from others"},
		{Number: "2.3", Text: "all that needs the key has the same one, and the server takes it"},
		{Number: "3.1", Text: "services use scoped keys, and reach only what they need", Person: "Blnk's log names no key: who uses the master key shows only when it is rotated"},
		{Number: "3.2", Text: "API keys are reviewed"},
		{Number: "3.3", Text: "hooks are managed with the master key only"},
		{Number: "4.1", Text: "failed authentication is tracked"},
		{Number: "4.2", Text: "the use of API keys is watched", Person: "see last_used_at in GET /api-keys?owner=OWNER"},
		{Number: "4.3", Text: "suspicious activity shows, and somebody hears of failures"},
		{Number: "4.4", Text: "access logs are reviewed"},
		{Number: "5.1", Text: "all components are up to date"},
		{Number: "5.2", Text: "security advisories are read", Person: "watch https://github.com/blnkfinance/blnk/security/advisories"},
		{Number: "5.3", Text: "maintenance has its window", Person: "agree on one, and let cron run blnkctl rotate in it"},
	}
}

// Link is where the guide says a sentence.
func Link(number string) string {
	if number[0] == '0' {
		return GuideURL + "#enable-authentication"
	}
	return GuideURL + "#security-check-list"
}
