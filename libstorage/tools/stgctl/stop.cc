#include "tools/stgctl/stop.h"

#include <csignal>

namespace storage::stgctl {
namespace {

volatile std::sig_atomic_t g_stopped = 0;

}  // namespace

void CatchSignals() {
  struct sigaction action {};
  action.sa_handler = [](int) { g_stopped = 1; };
  // A second signal ends the program at once.
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool Stopped() { return g_stopped != 0; }

}  // namespace storage::stgctl
