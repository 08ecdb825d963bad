// blnkctl makes, rotates and verifies the master key of a Blnk server.
package main

import (
	"os"

	"github.com/blnkctl/blnkctl/cmd"
)

func main() { os.Exit(cmd.Main()) }
