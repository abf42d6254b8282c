// The children of this process that have not been joined yet.
#ifndef BROOD_LAUNCHER_CHILDREN_H_
#define BROOD_LAUNCHER_CHILDREN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace brood {

struct ChildInfo {
  std::string name;
  int pid = 0;  // As the caller sees it; 0 until its target runs.
  bool daemon = false;
};

// Those that run, in the order of their start; none of a parent's. What has ended is reaped on the way, as by
// multiprocessing.active_children(). Thread-safe.
std::vector<ChildInfo> ActiveChildren();

namespace internal {

struct ProcessState;

// Until the state is gone, once it is started: before that, whoever starts it is alone with it. The first call of a process
// arranges that its children are ended when it ends in order: daemons by SIGTERM (and SIGKILL five seconds later), then all
// are waited for. Thread-safe.
void NoteChild(const std::shared_ptr<ProcessState>& child);

// 1 for the first process object that this process makes. Thread-safe.
uint32_t NextChildNumber();

}  // namespace internal
}  // namespace brood

#endif  // BROOD_LAUNCHER_CHILDREN_H_
