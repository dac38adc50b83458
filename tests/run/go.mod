module github.com/libstorage/tests/run

go 1.23.0
