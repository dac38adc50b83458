// Routing is on the path of every request: where no expression has to look at
// the key it allocates nothing. A program of its own, because it replaces new.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "src/topology/topology.h"
#include "tests/topology_testing.h"

namespace {
std::atomic<int64_t> g_allocations{0};
}  // namespace

void* operator new(size_t size) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size); memory != nullptr) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace storage {
namespace {

TEST(TopologyAllocations, RouteAllocatesNothing) {
  std::string yaml = kSampleTopology;
  absl::StatusOr<Topology> topology = ParseTopology(yaml, "t.yaml");
  ASSERT_TRUE(topology.ok());
  auto router = *Router::Create(*std::move(topology));
  for (const Resource& resource : {Namespaced("pods"), Namespaced("secrets"), Shirts(),
                                   Cluster("minions"), Namespaced("roles")}) {
    const std::string key = resource.key_prefix + "kube-system/some-object-with-a-long-name";
    auto bound = router->Bind(resource);
    int sum = router->Route(resource, key);  // expressions build their automata once
    const int64_t before = g_allocations.load();
    for (int i = 0; i < 100; ++i) sum += router->Route(resource, key) + bound->Route(key);
    EXPECT_EQ(g_allocations.load(), before) << key;
    EXPECT_GE(sum, 0);
  }
}

}  // namespace
}  // namespace storage
