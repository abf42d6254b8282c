#include "base/status.h"
#include "base/unique_fd.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/run_child.h"
#include "serialization/framing.h"
#include "serialization/messages.h"

namespace brood {
namespace {

template <typename Message>
absl::StatusOr<Message> Receive(int fd, MessageType type, absl::StatusOr<Message> (*decode)(std::string_view)) {
  // Room for what surrounds the arguments, whose own bound is the sender's.
  BROOD_ASSIGN_OR_RETURN(const std::string bytes, ReadMessage(fd, type, {.max_bytes = 2 * kMaxMessageBytes}));
  return decode(bytes);
}

}  // namespace

void internal::RunMessage(int fd, int setup_fd) noexcept {
  absl::StatusOr<PreparationData> preparation = Receive(fd, MessageType::kPreparationData, DecodePreparationData);
  if (!preparation.ok()) internal::FailBootstrap(setup_fd, preparation.status());
  absl::StatusOr<ProcessData> process = Receive(fd, MessageType::kProcessData, DecodeProcessData);
  if (!process.ok()) internal::FailBootstrap(setup_fd, process.status());
  UniqueFd(fd).reset();
  internal::SeedRandom(internal::RandomSeed());
  internal::RunChild(*preparation, *std::move(process));
}

}  // namespace brood
