module github.com/libstorage/tests/layers

go 1.23.0
