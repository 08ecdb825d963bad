// Package leak finds keys where they must not be: in the objects of a git repository,
// now or once, in what is staged there, in any text.
//
// A key reaches git by no argument, variable or file: git prints, and a Matcher reads.
// What is found holds the key, which cannot be printed, and where it stands; a place
// that has the key in its name is masked.
package leak
