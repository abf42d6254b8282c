#include "serve/quota.h"

#include <string_view>

#include "absl/strings/str_cat.h"

namespace brood::internal {
namespace {

absl::Status Check(uint64_t has, const std::optional<uint64_t>& most, std::string_view who, std::string_view option) {
  if (!most.has_value() || has < *most) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("request: ", who, " has ", has, has == 1 ? " child" : " children",
                                                   ", as many as it may have at once; see brood serve ", option));
}

}  // namespace

absl::Status ServeQuotas::Take(const Payer& payer, std::optional<uint64_t> memory) {
  Account& client = clients_[payer.process];
  Account& user = users_[payer.user];
  absl::Status may = Check(client.children, quota_.children_per_client, "this client", "--max-children-per-client");
  if (may.ok()) may = Check(user.children, quota_.children_per_user, "this user", "--max-children-per-user");
  if (may.ok()) may = Check(all_.children, quota_.children, "the server", "--max-children");
  if (may.ok() && quota_.memory_per_client.has_value()) {
    const uint64_t left = *quota_.memory_per_client - client.memory;
    if (!memory.has_value()) {
      may = absl::FailedPreconditionError(
          "request: its policy has no limit of memory, without which it cannot be counted; see brood serve --max-memory-per-client");
    } else if (*memory > left) {
      may = absl::ResourceExhaustedError(absl::StrCat("request: a limit of ", *memory, " bytes of memory, and of ", *quota_.memory_per_client,
                                                      " that this client may give its children at once ", left,
                                                      " are left; see brood serve --max-memory-per-client"));
    }
  }
  for (Account* account : {&client, &user, &all_}) {
    if (!may.ok()) break;
    ++account->children;
    account->memory += memory.value_or(0);
  }
  if (client.children == 0) clients_.erase(payer.process);
  if (user.children == 0) users_.erase(payer.user);
  return may;
}

void ServeQuotas::GiveBack(const Payer& payer, std::optional<uint64_t> memory) {
  for (Account* account : {&clients_[payer.process], &users_[payer.user], &all_}) {
    --account->children;
    account->memory -= memory.value_or(0);
  }
  if (clients_[payer.process].children == 0) clients_.erase(payer.process);
  if (users_[payer.user].children == 0) users_.erase(payer.user);
}

}  // namespace brood::internal
