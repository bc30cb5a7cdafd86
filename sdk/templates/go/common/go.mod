module plugin-name

go 1.24

require strandline/plugin v0.0.0

replace strandline/plugin => ./strandline/go
