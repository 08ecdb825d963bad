// Package oracle holds no code: its tests ask docker compose's own parser of
// env files what package dotenv reads and writes. It promises nothing.
package oracle
