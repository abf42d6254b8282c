// What stands outside while an attack runs inside: files, a process and sockets that it should not reach, and a secret
// that it should not learn. Made anew for each attack; all of it goes with the object.
#ifndef BROOD_CLI_PROBE_STAGE_H_
#define BROOD_CLI_PROBE_STAGE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "cli/probe/attack_table.h"
#include "cli/probe/listeners.h"
#include "cli/probe/victim.h"

namespace brood::probe {

class Stage {
 public:
  // For one attack. `program` is the path of the hostile program.
  static absl::StatusOr<std::unique_ptr<Stage>> Create(const std::string& program, const Attack& attack);
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  ~Stage();

  // The directory that the launcher shows, read-only if it can: it has the program, "attack", and files to attack. Modes
  // allow everybody everything in it, so that nothing but the launcher protects it.
  const std::string& shown() const { return shown_; }
  const std::string& nonce() const { return nonce_; }
  const std::string& secret() const { return secret_; }

  // NAME=VALUE for the attack.
  std::vector<std::string> Facts() const;

  // A terminal for the launcher, which shows what is typed into it; -1 if the attack is not on one.
  int terminal() const { return terminal_.get(); }

  // In the launcher's process, before its exec: gives it what should not get through to the program: descriptors, a
  // variable, a session keyring, groups.
  void BurdenLauncher() const;

  // What has changed outside since the stage was made; "" for nothing.
  std::string Harm();

 private:
  Stage() = default;
  absl::Status Fill(const std::string& program);
  absl::Status MakeIpc();
  absl::Status MakeTerminal();
  std::string SharedObjects();  // What became of System V's, and of the terminal.
  void RemoveWhatIsLeft() const;
  std::map<std::string, std::string> Files() const;  // All that can be seen of each file.

  std::string nonce_;
  std::string secret_;
  Victim::Urgent urgent_ = Victim::Urgent::kIgnored;
  std::string base_;
  std::string shown_;
  std::string hidden_;
  std::string var_tmp_;
  std::string dev_shm_;
  UniqueFd inherited_file_;
  UniqueFd terminal_;
  UniqueFd keyboard_;  // The terminal's other side.
  std::string echo_;   // What came back from it.
  int memory_id_ = -1;
  int semaphore_id_ = -1;
  int messages_id_ = -1;
  char* memory_ = nullptr;
  UniqueFd queue_;
  std::unique_ptr<Victim> victim_;
  std::unique_ptr<Listeners> listeners_;
  std::string victim_before_;
  std::map<std::string, std::string> files_before_;
};

}  // namespace brood::probe

#endif  // BROOD_CLI_PROBE_STAGE_H_
