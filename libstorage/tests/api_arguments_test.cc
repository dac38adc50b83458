// Arguments that no sane caller passes give INVALID, not a crash.
#include <gtest/gtest.h>

#include <string>

#include "tests/api_harness.h"

namespace storage {
namespace {

stg_options Options() {
  stg_options options = {};
  options.struct_size = sizeof(options);
  options.abi_major = STG_ABI_MAJOR;
  options.abi_minor = STG_ABI_MINOR;
  options.history_ms = -1;
  options.default_endpoint = "memory://arguments";
  options.metadata_endpoint = "memory://arguments.meta";
  options.flags = STG_OPEN_ALLOW_MEMORY;
  return options;
}

stg_code Open(const stg_options& options, std::string* message) {
  stg_engine* engine = reinterpret_cast<stg_engine*>(1);
  stg_error error;
  const stg_code code = stg_engine_open(&options, &engine, &error);
  EXPECT_EQ(engine, nullptr);
  *message = error.message;
  return code;
}

TEST(ArgumentsTest, OpenChecksVersionSizeFlagsAndRanges) {
  std::string message;
  stg_options options = Options();
  options.struct_size = 8;
  EXPECT_EQ(Open(options, &message), STG_CODE_INVALID);
  EXPECT_NE(message.find("struct_size is 8"), std::string::npos);
  options = Options();
  options.abi_major = STG_ABI_MAJOR + 1;
  EXPECT_EQ(Open(options, &message), STG_CODE_INVALID);
  EXPECT_NE(message.find("ABI"), std::string::npos);
  options = Options();
  options.abi_minor = STG_ABI_MINOR + 1;
  EXPECT_EQ(Open(options, &message), STG_CODE_INVALID);
  options = Options();
  options.flags = 1u << 31;
  EXPECT_EQ(Open(options, &message), STG_CODE_INVALID);
  options = Options();
  options.buffer_budget_bytes = -1;
  EXPECT_EQ(Open(options, &message), STG_CODE_INVALID);
  options = Options();
  options.history_ms = -2;
  EXPECT_EQ(Open(options, &message), STG_CODE_INVALID);
  options = Options();
  options.struct_size = offsetof(stg_options, default_tls) - 1;
  EXPECT_EQ(Open(options, &message), STG_CODE_INVALID);
  options = Options();
  stg_engine* engine = nullptr;
  EXPECT_EQ(stg_engine_open(nullptr, &engine, nullptr), STG_CODE_INVALID);
  EXPECT_EQ(stg_engine_open(&options, nullptr, nullptr), STG_CODE_INVALID);
}

// A caller of ABI 1.0: what lies behind its struct is never looked at.
TEST(ArgumentsTest, OlderCallersGiveASmallerStruct) {
  stg_options options = Options();
  options.struct_size = offsetof(stg_options, default_tls);
  options.abi_minor = 0;
  options.default_tls.ca_file = reinterpret_cast<const char*>(1);
  options.metadata_tls.key_file = reinterpret_cast<const char*>(1);
  stg_engine* engine = nullptr;
  stg_error error;
  ASSERT_EQ(stg_engine_open(&options, &engine, &error), STG_CODE_OK) << error.message;
  EXPECT_EQ(stg_engine_close(engine, &error), STG_CODE_OK);
}

TEST(ArgumentsTest, NullHandles) {
  stg_error error;
  stg_completion done;
  stg_op op = {};
  op.struct_size = sizeof(op);
  int32_t id;
  stg_bytes json;
  uint64_t slab;
  stg_watch* watch;
  stg_watch_batch batch;
  EXPECT_EQ(stg_engine_shutdown(nullptr, &error), STG_CODE_INVALID);
  EXPECT_EQ(stg_engine_close(nullptr, &error), STG_CODE_INVALID);
  EXPECT_EQ(stg_engine_event_fd(nullptr), -1);
  EXPECT_EQ(stg_resource_register(nullptr, nullptr, &id, &error), STG_CODE_INVALID);
  EXPECT_EQ(stg_engine_check(nullptr, "engine", &error), STG_CODE_INVALID);
  EXPECT_EQ(stg_engine_info(nullptr, "stats", &json, &slab), STG_CODE_INVALID);
  EXPECT_EQ(stg_submit(nullptr, &op, nullptr, 0, nullptr, 0, nullptr, 0, &done), 0u);
  EXPECT_EQ(done.code, STG_CODE_INVALID);
  EXPECT_NE(Text(done.message).find("NULL"), std::string::npos);
  EXPECT_EQ(stg_submit(nullptr, &op, nullptr, 0, nullptr, 0, nullptr, 0, nullptr), 0u);
  stg_cancel(nullptr, 1);
  EXPECT_EQ(stg_drain(nullptr, &done, 1), 0u);
  stg_slab_release(nullptr, &slab, 1);
  EXPECT_EQ(stg_watch_open(nullptr, 0, 0, nullptr, 0, nullptr, 0, 0, &watch, &error),
            STG_CODE_INVALID);
  stg_watch_read(nullptr, 0, 0, &batch);
  EXPECT_EQ(batch.code, STG_CODE_INVALID);
  stg_watch_read(nullptr, 0, 0, nullptr);
  stg_watch_request_progress(nullptr);
  stg_watch_close(nullptr);
}

TEST(ArgumentsTest, NullArgumentsOfALiveEngine) {
  Harness h;
  stg_completion done;
  stg_op op = h.Op(STG_VERB_GET);
  EXPECT_EQ(stg_submit(h.engine, nullptr, "a", 1, nullptr, 0, nullptr, 0, &done), 0u);
  EXPECT_EQ(done.code, STG_CODE_INVALID);
  EXPECT_EQ(stg_submit(h.engine, &op, "a", 1, nullptr, 0, nullptr, 0, nullptr), 0u);
  for (int bad = 0; bad < 3; ++bad) {
    EXPECT_EQ(stg_submit(h.engine, &op, bad == 0 ? nullptr : "k", 1, bad == 1 ? nullptr : "v", 1,
                         bad == 2 ? nullptr : "a", 1, &done),
              0u);
    EXPECT_EQ(done.code, STG_CODE_INVALID);
  }
  EXPECT_EQ(stg_drain(h.engine, nullptr, 5), 0u);
  stg_slab_release(h.engine, nullptr, 5);
  EXPECT_EQ(stg_resource_register(h.engine, nullptr, nullptr, nullptr), STG_CODE_INVALID);
  EXPECT_EQ(stg_engine_check(h.engine, nullptr, nullptr), STG_CODE_INVALID);
  EXPECT_EQ(stg_engine_info(h.engine, nullptr, nullptr, nullptr), STG_CODE_INVALID);
  EXPECT_EQ(stg_watch_open(h.engine, h.resource, 0, nullptr, 3, nullptr, 0, 0, nullptr, nullptr),
            STG_CODE_INVALID);
}

TEST(ArgumentsTest, OperationsAreChecked) {
  Harness h;
  const stg_op good = h.Op(STG_VERB_GET);
  const auto refused = [&](const stg_op& op, stg_code code) {
    stg_completion done = {};
    EXPECT_EQ(h.Submit(op, "a", "", &done), 0u);
    EXPECT_EQ(done.code, code);
    EXPECT_GT(done.message.size, 0u);
    h.Release(done);
  };
  stg_op op = good;
  op.struct_size = sizeof(op) - 1;
  refused(op, STG_CODE_INVALID);
  for (const int32_t verb : {0, 8, -1}) {
    op = good;
    op.verb = verb;
    refused(op, STG_CODE_INVALID);
  }
  for (const int32_t resource : {-1, 1, 1 << 30}) {
    op = good;
    op.resource = resource;
    refused(op, STG_CODE_INVALID);
  }
  op = good;
  op.flags = 1u << 30;
  refused(op, STG_CODE_INVALID);
  op = good;
  op.revision = -1;
  refused(op, STG_CODE_INVALID);
  op = good;
  op.limit = -1;
  refused(op, STG_CODE_INVALID);
  op = good;
  op.ttl_ms = -5;
  refused(op, STG_CODE_INVALID);
  op = good;
  op.timeout_ms = -5;
  refused(op, STG_CODE_INVALID);
  stg_completion done = {};
  EXPECT_EQ(h.Submit(good, std::string(70000, 'k'), "", &done), 0u);
  EXPECT_EQ(done.code, STG_CODE_TOO_LARGE);
  h.Release(done);
  EXPECT_EQ(h.outstanding(), 0);
}

TEST(ArgumentsTest, ResourcesAreChecked) {
  Harness h;
  int32_t id = -1;
  stg_resource resource = {sizeof(stg_resource), 0, "", "pods", "Pod", "/registry/",
                           "/registry/pods"};
  EXPECT_EQ(stg_resource_register(h.engine, &resource, &id, nullptr), STG_CODE_INVALID);
  resource.key_prefix = nullptr;
  EXPECT_EQ(stg_resource_register(h.engine, &resource, &id, nullptr), STG_CODE_INVALID);
  resource.key_prefix = "/registry/pods/";
  resource.flags = 1u << 9;
  EXPECT_EQ(stg_resource_register(h.engine, &resource, &id, nullptr), STG_CODE_INVALID);
  resource.flags = 0;
  resource.struct_size = 4;
  EXPECT_EQ(stg_resource_register(h.engine, &resource, &id, nullptr), STG_CODE_INVALID);
  resource.struct_size = sizeof(resource);
  EXPECT_EQ(stg_resource_register(h.engine, &resource, &id, nullptr), STG_CODE_OK);
  EXPECT_EQ(id, h.resource);
}

TEST(ArgumentsTest, NamesAndClassesOfAnyNumber) {
  EXPECT_STREQ(stg_code_name(STG_CODE_OUTCOME_UNKNOWN), "OUTCOME_UNKNOWN");
  EXPECT_EQ(stg_code_class(STG_CODE_OUTCOME_UNKNOWN), STG_CLASS_MAYBE_COMMITTED);
  EXPECT_NE(stg_code_name(9999), nullptr);
  EXPECT_NE(stg_code_name(-1), nullptr);
  stg_code_class(-1);
}

}  // namespace
}  // namespace storage
