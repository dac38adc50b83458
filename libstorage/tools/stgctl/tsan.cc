// Of builds with ThreadSanitizer only: Debian's gRPC, abseil and OpenSSL are built without it,
// so their locks are not seen (tests/servers/etcd_server.cc has the same for the tests).
#ifdef __SANITIZE_THREAD__
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_suppressions() {
  return "race:libgrpc\nrace:libgpr\nrace:grpc::internal::\nrace:libabsl_\n"
         "race:libcrypto\nrace:libssl\n";
}
#endif
