package plugin

import "strandline/plugin/internal/reasons"

// Verdict is what a filter says of a record.
type Verdict uint8

const (
	// Drop keeps the record from being stored, or delivered. Nothing went wrong.
	Drop Verdict = iota
	// Pass lets the record go on.
	Pass
	// DeadLetter sends the record to the stream's dead letters instead; on the way out of a stream it drops.
	DeadLetter
	// Fail says that the record cannot be judged: the error policy of the attachment says what becomes of it.
	Fail
)

// PassIf is Pass if that holds, else Drop.
func PassIf(holds bool) Verdict {
	if holds {
		return Pass
	}
	return Drop
}

// Because says why, for the person who asks why records are dropped. For a text that has to be made there is
// BecauseFunc.
func (v Verdict) Because(reason string) Verdict {
	if reasons.Wanted {
		reasons.Given = reason
	}
	return v
}

// BecauseFunc says why with a text that is made only while somebody asks, so it costs nothing otherwise.
func (v Verdict) BecauseFunc(reason func() string) Verdict {
	if reasons.Wanted {
		reasons.Given = reason()
	}
	return v
}
