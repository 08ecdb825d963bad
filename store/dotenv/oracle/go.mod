// What docker compose itself reads, as the judge of store/dotenv: a module of
// its own, so that compose-go is no dependency of the product.
module github.com/blnkctl/blnkctl/store/dotenv/oracle

go 1.26

require (
	github.com/blnkctl/blnkctl v0.0.0
	github.com/compose-spec/compose-go/v2 v2.16.2 // its package dotenv is the oracle
	github.com/sirupsen/logrus v1.10.1 // silences what compose-go logs
)

require golang.org/x/sys v0.47.0 // indirect

replace github.com/blnkctl/blnkctl => ../../..
