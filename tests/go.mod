module github.com/libstorage/tests

go 1.23.0

replace github.com/libstorage/go-shim => ../go-shim
