package blnk

import (
	"fmt"
	"testing"

	"github.com/blnkctl/blnkctl/secret"
)

func TestVersion(t *testing.T) {
	for text, want := range map[string]string{
		"0.15.2": "0.15.2", "v0.15.2": "0.15.2", "v0.15.2-rc1": "0.15.2", "0.15.2+dirty": "0.15.2",
		"": "", "latest": "", "0.15": "", "16": "", "0.15.2.1": "", "0.15.x": "", "(devel)": "", "0.15.2 ": "",
	} {
		if got := Version(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Each row of the table ends a risk for the release that it names, and those after it.
func TestRisksOf(t *testing.T) {
	if n := len(RisksOf(Newest)); n != 0 {
		t.Errorf("the newest release has %d risks", n)
	}
	for i, r := range Risks() {
		if n := len(Risks()) - len(RisksOf(r.Fixed)); n != i+1 || Version(r.Fixed) != r.Fixed {
			t.Errorf("%s ends %d of the risks, and is row %d", r.Fixed, n, i+1)
		}
	}
	for version, want := range map[string]int{"0.11.6": 8, "0.12.0": 7, "0.14.2": 4, "0.14.10": 3, "0.15.1": 1, "0.15.2": 0, "0.16.0": 0, "1.0.0": 0} {
		if n := len(RisksOf(version)); n != want {
			t.Errorf("%s has %d risks, want %d", version, n, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	env := map[string]string{"PGHOST": "pg.example.com", "PGSSLMODE": "disable"}
	for _, c := range []struct {
		read func(secret.Key) (Address, bool)
		dsn  string
		want string // host port password plain; "" where it is none
	}{
		{plainPostgres, "postgres://u:p%40w@db.example.com:6432/blnk?sslmode=disable", "db.example.com 6432 p@w true"},
		{plainPostgres, "postgresql://u:pw@db.example.com/blnk?sslmode=verify-full", "db.example.com 5432 pw false"},
		{plainPostgres, "postgres://u:pw@db.example.com/blnk", "db.example.com 5432 pw false"}, // lib/pq: require
		{plainPostgres, "postgres://u:pw@db.example.com/blnk?sslmode=prefer", "db.example.com 5432 pw true"},
		{plainPostgres, "postgres://u:pw@/blnk?host=/run/pg&sslmode=disable", "/run/pg 5432 pw true"},
		{plainPostgres, "host=10.0.0.9 port=5433 user=u password='pw' sslmode=disable", "10.0.0.9 5433 pw true"},
		{plainPostgres, "not one", ""},
		{func(k secret.Key) (Address, bool) { return PostgresAddress(k, env) }, "postgres://u:pw@/blnk", "pg.example.com 5432 pw true"},
		{RedisAddress, "redis:6379", "redis 6379  true"},
		{RedisAddress, "x.redis.cache.windows.net:6380", "x.redis.cache.windows.net 6380  false"},
		{RedisAddress, "redis://:pw@r.example.com", "r.example.com 6379  true"},
		{RedisAddress, "rediss://r.example.com:6380/1", "r.example.com 6380  false"},
		{plainPostgres, "postgres://u:12/34@db.example.com/blnk?sslmode=disable", ""}, // part of a password is no host
		{RedisAddress, "pass@r.example.com:6379", ""},
		{RedisAddress, "redis://:12#34@r.example.com", ""},
		{RedisAddress, "alone", ""},
		{TypesenseAddress, "http://typesense:8108", "typesense 8108  true"},
		{TypesenseAddress, "https://ts.example.com", "ts.example.com 443  false"},
		{TypesenseAddress, "typesense:8108", ""},
		{RedisAddress, "ftp://r", ""},
	} {
		a, ok := c.read(secret.New(c.dsn))
		if got := fmt.Sprint(a.Host, " ", a.Port, " ", a.Password.Reveal(), " ", a.Plain); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: %v %s, want %s", c.dsn, ok, got, c.want)
		}
	}
}

func plainPostgres(dsn secret.Key) (Address, bool) { return PostgresAddress(dsn, nil) }
