// Command blnkstandin is the stand-in Blnk server of package blnktest as a
// program, for the demo and for trying things by hand. It promises what that
// package does, and ships nowhere.
package main

import (
	"os"

	"github.com/blnkctl/blnkctl/internal/blnktest"
)

func main() { os.Exit(blnktest.Main()) }
