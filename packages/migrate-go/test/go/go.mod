module aixgo-store-fixtures

go 1.19

require github.com/aixgo-dev/aixgo v0.3.3
