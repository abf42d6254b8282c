// Keepers that the client has leased: the rest of the class is in client_linux.cc.
#include <poll.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "forkserver/client.h"

namespace brood::internal {
namespace {

// Of one server. Each is a slot, with three processes; where more children than this were alive at once, some go by the supervisor.
constexpr size_t kMaxIdle = 16;

// One that has waited for long has left, as has one that was killed. With the supervisor they all go, perhaps a moment later.
bool IsThere(const ForkServer::Instance& instance, const UniqueFd& socket) {
  pollfd polled[] = {{socket.get(), POLLIN, 0}, {instance.pidfd->get(), POLLIN, 0}};
  return poll(polled, 2, 0) == 0;
}

}  // namespace

std::unique_ptr<ForkServer::Lease> ForkServer::TakeLease(const ForkServerPatience& patience, std::string_view plan) {
  const std::shared_ptr<Instance> instance = Running(patience, For::kNothing);
  if (instance == nullptr) return nullptr;
  auto lease = std::make_unique<Lease>();
  {
    const std::lock_guard<std::mutex> lock(instance->leases_mutex);
    auto& idle = instance->idle;
    do {
      const auto last = std::find_if(idle.rbegin(), idle.rend(), [plan](const Instance::IdleKeeper& keeper) { return keeper.plan == plan; });
      if (last == idle.rend()) return nullptr;
      lease->plan = std::move(last->plan);
      lease->socket = std::move(last->socket);
      idle.erase(std::next(last).base());
    } while (!IsThere(*instance, lease->socket));
  }
  lease->instance = instance;
  // It may have served enough, and is replaced then.
  if (!MayBear(instance, patience)) return nullptr;
  return lease;
}

void ForkServer::GiveBack(Lease lease) {
  UniqueFd oldest;  // Ends without the lock.
  Instance& instance = *lease.instance;
  const std::lock_guard<std::mutex> lock(instance.leases_mutex);
  if (instance.idle.size() == kMaxIdle) {
    oldest = std::move(instance.idle.front().socket);
    instance.idle.erase(instance.idle.begin());
  }
  instance.idle.push_back({.plan = std::move(lease.plan), .socket = std::move(lease.socket)});
}

}  // namespace brood::internal
