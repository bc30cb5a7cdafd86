module strandline/plugin

go 1.24
