package probe

import (
	"net/http/httptest"
	"testing"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/blnktest"
	"github.com/blnkctl/blnkctl/secret"
)

// What a Blnk server answers, of today and of older versions.
func TestAskOfBlnk(t *testing.T) {
	const master, random = "blnk_sk_master", "blnk_sk_random"
	tests := []struct {
		name           string
		secure         bool
		opt            blnktest.Options
		master, random blnk.Answer
		none           blnk.Answer // without a key
	}{
		{"secure mode", true, blnktest.Options{}, blnk.Live, blnk.Rejected, blnk.Nothing},
		{"secure mode off", false, blnktest.Options{}, blnk.Lesser, blnk.Lesser, blnk.Lesser},
		{"secure mode before 0.15", true, blnktest.Options{Version: "0.14.3"}, blnk.Live, blnk.Rejected, blnk.Nothing},
		{"secure mode off before 0.14.3", false, blnktest.Options{Version: "0.13.3"}, blnk.Live, blnk.Live, blnk.Live},
		{"rate limited", true, blnktest.Options{Answer: "429"}, blnk.Nothing, blnk.Nothing, blnk.Nothing},
		{"closes", true, blnktest.Options{Answer: "close"}, blnk.Nothing, blnk.Nothing, blnk.Nothing},
		{"garbage", true, blnktest.Options{Answer: "garbage"}, blnk.Nothing, blnk.Nothing, blnk.Nothing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := blnktest.Config{Server: blnktest.ServerConfig{Secure: tt.secure, SecretKey: master}}
			server := httptest.NewServer(blnktest.NewServer(config, nil, tt.opt))
			t.Cleanup(server.Close)
			s := open(t, server.URL, Options{})
			for key, want := range map[string]blnk.Answer{master: tt.master, random: tt.random, "": tt.none} {
				got, err := s.Ask(t.Context(), secret.New(key))
				if got != want || (err == nil) != (want != blnk.Nothing) {
					t.Errorf("Ask(%q) = %v, %v; want %v", key, got, err, want)
				}
			}
		})
	}
}
