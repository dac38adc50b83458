module github.com/libstorage/go-shim

go 1.23.0
