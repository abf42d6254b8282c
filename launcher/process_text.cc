// How a process object shows itself, as Python's repr.
#include <optional>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/own_process.h"
#include "base/signals.h"
#include "launcher/outcome.h"
#include "launcher/process.h"
#include "launcher/process_state.h"

namespace brood {
namespace {

std::string EndText(const Outcome& outcome) {
  if (std::holds_alternative<SetupFailed>(outcome.ending) || std::holds_alternative<Lost>(outcome.ending)) {
    return std::string(outcome.StatusWord());
  }
  const int64_t code = outcome.exit_code();
  const std::string signal = code < 0 ? SignalName(static_cast<int>(-code)) : "";
  return signal.empty() ? absl::StrCat("exitcode=", code) : absl::StrCat("exitcode=-", signal);
}

}  // namespace

std::string Process::ToString() {
  std::string text = absl::StrCat("<Process name='", absl::Utf8SafeCEscape(name()), "'");
  const uint64_t creator = unstarted_ != nullptr ? unstarted_->creator : state_ != nullptr ? state_->creator : 0;
  const bool mine = creator == ForkGeneration();
  if (const int number = pid(); number > 0) absl::StrAppend(&text, " pid=", number);
  if (mine) absl::StrAppend(&text, " parent=", OwnProcessNumber());
  if (state_ == nullptr && unstarted_ == nullptr) {
    absl::StrAppend(&text, " moved");
  } else if (state_ != nullptr && state_->closed) {
    absl::StrAppend(&text, " closed");
  } else if (!mine) {
    absl::StrAppend(&text, " unknown");  // Only its creator can ask.
  } else if (unstarted_ != nullptr) {
    absl::StrAppend(&text, " initial");
  } else if (internal::HasEnded(*state_, absl::ZeroDuration())) {
    absl::StrAppend(&text, " stopped ", EndText(*state_->outcome));
  } else {
    absl::StrAppend(&text, " started");
  }
  return absl::StrCat(text, daemon() ? " daemon>" : ">");
}

}  // namespace brood
