package plugin

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// JSON is a value of a JSON text, as it stands there.
type JSON []byte

// Field finds a field of a JSON object, or a field of a field, without parsing the rest: encoding/json takes many times as
// long. Of two fields of one name it finds the first; a name that is written with escapes it does not find. In what is not
// JSON there are no fields, or those before the place where it breaks off.
func (r *Record) Field(path ...string) (JSON, bool) {
	return JSON(r.Value).Field(path...)
}

// Field finds a field of an object, or a field of a field.
func (j JSON) Field(path ...string) (JSON, bool) {
	rest := trim(j)
	for _, name := range path {
		var found bool
		if rest, found = enter(rest, name); !found {
			return nil, false
		}
	}
	end := valueLen(rest)
	if end < 0 {
		return nil, false
	}
	return JSON(rest[:end]), true
}

// Text is the text of a string.
func (j JSON) Text() (string, bool) {
	if len(j) < 2 || j[0] != '"' {
		return "", false
	}
	if inside := j[1 : len(j)-1]; bytes.IndexByte(inside, '\\') < 0 {
		return string(inside), true
	}
	var decoded string
	err := json.Unmarshal(j, &decoded)
	return decoded, err == nil
}

// Is says whether it is a string of that text.
func (j JSON) Is(text string) bool {
	decoded, isText := j.Text()
	return isText && decoded == text
}

// Number is the number, as near as a float64 can be.
func (j JSON) Number() (float64, bool) {
	if len(j) == 0 || j[0] != '-' && (j[0] < '0' || j[0] > '9') {
		return 0, false
	}
	number, err := strconv.ParseFloat(string(j), 64)
	return number, err == nil
}

// Bool is the truth value.
func (j JSON) Bool() (value, isBool bool) {
	value = string(j) == "true"
	return value, value || string(j) == "false"
}

// enter returns the text from the value of the field on.
func enter(object []byte, name string) ([]byte, bool) {
	if len(object) == 0 || object[0] != '{' {
		return nil, false
	}
	rest := trim(object[1:])
	for {
		end := valueLen(rest)
		if end < 2 || rest[0] != '"' {
			return nil, false
		}
		found := rest[1 : end-1]
		if rest = trim(rest[end:]); len(rest) == 0 || rest[0] != ':' {
			return nil, false
		}
		rest = trim(rest[1:])
		if string(found) == name {
			return rest, true
		}
		if end = valueLen(rest); end < 0 {
			return nil, false
		}
		if rest = trim(rest[end:]); len(rest) == 0 || rest[0] != ',' {
			return nil, false
		}
		rest = trim(rest[1:])
	}
}

// valueLen is the length of the value that the text begins with, or -1 where it breaks off.
func valueLen(text []byte) int {
	depth := 0
	for at := 0; at < len(text); {
		switch text[at] {
		case '"':
			length := stringLen(text[at:])
			if length < 0 {
				return -1
			}
			at += length
		case '{', '[':
			depth++
			at++
		case '}', ']':
			if depth == 0 {
				return -1
			}
			depth--
			at++
		default:
			if depth == 0 {
				return scalarLen(text)
			}
			at++
		}
		if depth == 0 {
			return at
		}
	}
	return -1
}

// stringLen is the length of the string that the text begins with, quotes included, or -1 where it is not closed.
func stringLen(text []byte) int {
	for at := 1; at < len(text); at++ {
		switch text[at] {
		case '"':
			return at + 1
		case '\\':
			at++
		}
	}
	return -1
}

func scalarLen(text []byte) int {
	for at, char := range text {
		switch char {
		case ',', ':', '}', ']', ' ', '\t', '\r', '\n':
			if at == 0 {
				return -1
			}
			return at
		}
	}
	return len(text)
}

func trim(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t' || text[0] == '\r' || text[0] == '\n') {
		text = text[1:]
	}
	return text
}
