#include <poll.h>

#include <algorithm>

#include "serve/supervisors.h"

namespace brood::internal {
namespace {

bool HasEnded(const UniqueFd& pidfd) {
  pollfd polled = {pidfd.get(), POLLIN, 0};
  return poll(&polled, 1, 0) == 1;
}

}  // namespace

void Supervisors::Add(const ForkServer::Instance& instance) {
  if (all_.contains(instance.number)) return;
  ForgetEnded();
  all_[instance.number] = {.pidfd = instance.pidfd, .pid = instance.pid};
}

void Supervisors::ForgetEnded() {
  std::erase_if(all_, [](const auto& one) { return HasEnded(*one.second.pidfd); });
}

bool Supervisors::Has(pid_t pid) const {
  return std::any_of(all_.begin(), all_.end(), [pid](const auto& one) { return one.second.pid == pid; });
}

bool Supervisors::Lives(uint64_t number) const {
  const auto found = all_.find(number);
  return found != all_.end() && !HasEnded(*found->second.pidfd);
}

std::vector<pid_t> Supervisors::pids() const {
  std::vector<pid_t> pids;
  for (const auto& [number, one] : all_) pids.push_back(one.pid);
  return pids;
}

}  // namespace brood::internal
