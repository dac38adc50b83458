// Threads of the library.
#ifndef LIBSTORAGE_SRC_BASE_THREAD_H_
#define LIBSTORAGE_SRC_BASE_THREAD_H_

#include <functional>
#include <string>
#include <thread>

namespace storage {

// A thread with a name (its first 15 bytes, as top and perf show it) and all
// signals blocked: signals belong to the host.
std::thread StartThread(const std::string& name, std::function<void()> body);

// For a thread that others wait for and that itself computes little, as a lane
// does: it runs soon after it wakes, even when the host keeps all CPUs busy. A
// process without the right to do so goes on as before. Linux only.
void RaisePriorityOfThisThread();

}  // namespace storage

#endif  // LIBSTORAGE_SRC_BASE_THREAD_H_
