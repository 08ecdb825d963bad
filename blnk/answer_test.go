package blnk

import "testing"

func TestJudge(t *testing.T) {
	const (
		old     = `{"error":"Invalid API key"}`
		current = `{"error":"Invalid API key","error_detail":{"code":"AUTH_INVALID_API_KEY","message":"Invalid API key"}}`
	)
	tests := []struct {
		name   string
		status int
		body   string
		want   Answer
	}{
		{"no hooks", 200, `[]`, Live},
		{"null", 200, `null`, Live},
		{"hooks", 200, " [{\"id\":\"hook_1\"}]\n", Live},
		{"an object is no list", 200, `{"hooks":[]}`, Nothing},
		{"a cut list", 200, `[{"id":`, Nothing},
		{"a page", 200, `<html></html>`, Nothing},
		{"empty", 200, ``, Nothing},
		{"another success", 204, ``, Nothing},
		{"created", 201, `[]`, Nothing},
		{"unknown key", 401, current, Rejected},
		{"unknown key before 0.15", 401, old, Rejected},
		{"a key that did not arrive", 401, `{"error":"Authentication required. Use X-Blnk-Key header","error_detail":{"code":"AUTH_MISSING_API_KEY","message":"x"}}`, Nothing},
		{"a key that did not arrive, before 0.15", 401, `{"error":"Authentication required. Use X-Blnk-Key header"}`, Nothing},
		{"an expired scoped key", 401, `{"error":"API key is expired or revoked","error_detail":{"code":"AUTH_EXPIRED_API_KEY"}}`, Expired},
		{"a proxy's 401", 401, `<html>401</html>`, Nothing},
		{"a gateway's 401", 401, `{"message":"Unauthorized"}`, Nothing},
		{"a gateway's 401 that looks like Blnk's", 401, `{"error":"Unauthorized"}`, Nothing},
		{"an OAuth proxy's 401", 401, `{"error":"invalid_token","error_description":"expired"}`, Nothing},
		{"a code that is not about a key", 401, `{"error":"x","error_detail":{"code":"AUTH_MISSING_PRINCIPAL","message":"x"}}`, Nothing},
		{"a code that says more than the text", 401, `{"error":"Invalid API key","error_detail":{"code":"AUTH_MISSING_API_KEY"}}`, Nothing},
		{"a text without a code, in other letters", 401, `{"error":"invalid API key"}`, Rejected},
		{"an array of something else", 200, `["a",1]`, Nothing},
		{"a login page", 200, `<!doctype html><form action="/login">`, Nothing},
		{"a string", 200, `"ok"`, Nothing},
		{"a firewall's 403 in JSON", 403, `{"error":"Forbidden"}`, Nothing},
		{"a scoped key", 403, `{"error":"Insufficient permissions for hooks:read","error_detail":{"code":"AUTH_INSUFFICIENT_PERMISSIONS"}}`, Scoped},
		{"a scoped key before 0.15", 403, `{"error":"Insufficient permissions for hooks:read"}`, Scoped},
		{"a path that is no resource", 403, `{"error":"Unknown resource type","error_detail":{"code":"AUTH_UNKNOWN_RESOURCE"}}`, Scoped},
		{"a code of 403 that is not Blnk's", 403, `{"error":"blocked","error_detail":{"code":"WAF_RULE"}}`, Nothing},
		{"a bad gateway", 502, `<html>502 Bad Gateway</html>`, Nothing},
		{"an error that is no text", 401, `{"error":{"code":1}}`, Nothing},
		{"an empty error", 401, `{"error":""}`, Nothing},
		{"not the master key", 403, `{"error":"hook management requires master key"}`, Lesser},
		{"a firewall's 403", 403, `Forbidden`, Nothing},
		{"Blnk's error with another status", 400, current, Nothing},
		{"rate limit", 429, `{"error":"You have reached maximum request limit."}`, Nothing},
		{"failing", 500, current, Nothing},
		{"not found", 404, `404 page not found`, Nothing},
		{"redirect", 301, `[]`, Nothing},
		{"no answer", 0, ``, Nothing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Judge(tt.status, []byte(tt.body)); got != tt.want {
				t.Errorf("Judge(%d, %s) = %v, want %v", tt.status, tt.body, got, tt.want)
			}
		})
	}
}

func TestAnswersHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]Answer{}
	for a := Nothing; a <= Expired; a++ {
		if other, ok := seen[a.String()]; ok || a.String() == "" {
			t.Errorf("%d and %d are both %q", other, a, a)
		}
		seen[a.String()] = a
	}
	if got := Answer(99).String(); got != Nothing.String() {
		t.Errorf("an unknown answer is %q, want what says least", got)
	}
}
