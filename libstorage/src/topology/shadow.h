// Rules that can never get an object because of an earlier one.
#ifndef LIBSTORAGE_SRC_TOPOLOGY_SHADOW_H_
#define LIBSTORAGE_SRC_TOPOLOGY_SHADOW_H_

#include <cstddef>
#include <vector>

#include "src/topology/topology.h"

namespace storage {

// The first rule before rules[index] that matches whatever rules[index]
// matches; -1 when none is known to. Never claims what is not so for the keys
// of a kube-apiserver, but does not find every case (two expressions).
int ShadowedBy(const std::vector<Rule>& rules, size_t index);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_TOPOLOGY_SHADOW_H_
