// `brood serve`, end to end: the real server, and `run`, `call` and `batch` as its clients.
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

std::string Plugin(std::string_view name) { return Resolved(absl::StrCat("tests/plugins/lib", name, ".so")); }

class ServeTest : public testing::Test {
 protected:
  // A short path: 107 bytes are possible. unix(7)
  ServeTest() {
    char folder[] = "/tmp/serve_test.XXXXXX";
    EXPECT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    socket_ = absl::StrCat(folder_, "/s");
  }
  ~ServeTest() override {
    server_.reset();
    unlink(socket_.c_str());
    rmdir(folder_.c_str());
  }

  void Serve(std::vector<std::string> words) {
    std::vector<std::string> args = {"serve", "--socket", socket_};
    args.insert(args.end(), words.begin(), words.end());
    server_ = std::make_unique<StartedBrood>(args);
    ASSERT_EQ(server_->ReadLine(), absl::StrCat("listening on ", socket_, "\n"));
  }

  Finished Client(const std::string& command, const std::vector<std::string>& words, std::string_view input = "") const {
    std::vector<std::string> args = {command, "--server", socket_};
    args.insert(args.end(), words.begin(), words.end());
    return RunBrood(args, input);
  }

  std::string folder_, socket_;
  std::unique_ptr<StartedBrood> server_;
};

TEST_F(ServeTest, RunsProgramsWithTheClientsStreamsEnvironmentAndExitStatus) {
  Serve({});
  const Finished run = Client("run", {"--env", "A=b c", "--", "sh", "-c", "cat; echo \"$A\"; echo e >&2; exit 7"}, "in\n");
  EXPECT_EQ(run.out, "in\nb c\n");
  EXPECT_EQ(run.err, "e\n");
  EXPECT_EQ(run.exit_code, 7);
  EXPECT_EQ(Client("run", {"/no/such/program"}).exit_code, 127);
  EXPECT_EQ(Client("run", {"--wall-time", "100ms", "--", "sleep", "1000"}).exit_code, 124);
  EXPECT_EQ(Client("run", {"--", "sh", "-c", "kill -SEGV $$"}).exit_code, 128 + SIGSEGV);
}

TEST_F(ServeTest, CallsFunctionsOfPreloadedPluginsUnderEachPolicyThatIsTighter) {
  Serve({"--preload", Plugin("values")});
  for (const std::vector<std::string>& policy : std::vector<std::vector<std::string>>{{}, {"--policy", "strict"}, {"--policy", "default"}}) {
    std::vector<std::string> words = policy;
    words.insert(words.end(), {absl::StrCat(Plugin("values"), ":both"), "true", R"({"b":2,"a":1})"});
    const Finished call = Client("call", words);
    EXPECT_EQ(call.out, "[true,{\"a\":1,\"b\":2}]\n");
    EXPECT_EQ(call.err, "");
    EXPECT_EQ(call.exit_code, 0);
  }
}

TEST_F(ServeTest, RunsBatchesWithTheirResults) {
  Serve({"--preload", Plugin("values")});
  const std::string jobs = absl::StrCat(R"({"argv":["echo","a"]})", "\n", R"({"id":"f","target":")", Plugin("values"),
                                        R"(:double","args":[2.5]})", "\n", R"({"argv":["sh","-c","exit 3"],"policy":"strict"})", "\n");
  const Finished batch = Client("batch", {"-"}, jobs);
  EXPECT_EQ(batch.exit_code, 1);
  EXPECT_TRUE(absl::StrContains(batch.out, R"("stdout":{"text":"a\n","bytes":2,"truncated":false})")) << batch.out;
  EXPECT_TRUE(absl::StrContains(batch.out, R"("value":2.5)")) << batch.out;
  EXPECT_TRUE(absl::StrContains(batch.out, R"("exit_code":3)")) << batch.out;
}

TEST_F(ServeTest, MoreThanThePolicyOfTheServerIsRefusedByName) {
  Serve({"--policy", "strict", "--memory", "128M"});
  const struct {
    std::vector<std::string> words;
    const char* says;
  } cases[] = {
      {{"--policy", "none", "--", "id"}, "policy: namespaces: without \"user\""},
      {{"--policy", "default", "--", "id"}, "policy: files: "},
      {{"--memory", "129M", "--", "id"}, "policy: limits.memory: "},
      {{"--net", "host", "--", "id"}, "policy: "},
      {{"--rw", "/tmp", "--", "id"}, "policy: files: "},
      {{"--ro", "/root", "--", "id"}, "policy: files: /root at /root"},
      {{"--allow-weaker", "memory", "--", "id"}, "policy: allow_weaker: \"memory\""},
  };
  for (const auto& one : cases) {
    const Finished run = Client("run", one.words);
    EXPECT_EQ(run.exit_code, 125);
    EXPECT_EQ(run.out, "");
    EXPECT_TRUE(absl::StrContains(run.err, absl::StrCat("brood run: server ", socket_, ": ", one.says))) << run.err;
  }
  EXPECT_EQ(Client("run", {"--memory", "127M", "--", "true"}).exit_code, 0);
}

TEST_F(ServeTest, WhatIsInMemoryNeedsNoSizeAndStaysUnexecutable) {
  Serve({"--policy", "default", "--tmpfs", "/room", "--noexec", "/room"});
  const Finished run = Client("run", {"--noexec", "/tmp", "--", "sh", "-c", "for d in /room /tmp /dev/shm; do cp /bin/true $d/own; $d/own; echo $?; done"});
  EXPECT_EQ(run.out, "126\n126\n126\n") << run.err;
  const Finished plain = Client("run", {"--", "sh", "-c", "for d in /room /tmp; do cp /bin/true $d/own; $d/own; echo $?; done"});
  EXPECT_EQ(plain.out, "126\n0\n") << plain.err;
  const Finished more = Client("run", {"--tmpfs", "/room", "--", "echo", "ran"});
  EXPECT_EQ(more.out, "");
  EXPECT_TRUE(absl::StrContains(more.err, "policy: files: /room to execute")) << more.err;
}

TEST_F(ServeTest, AttributesAndFiltersOfTheServerHoldForClientsThatAskForNone) {
  const std::string file = absl::StrCat(folder_, "/filter");
  // ld nr; jeq getppid else allow; return errno ENOTTY; allow
  const struct {
    uint16_t code;
    uint8_t jt, jf;
    uint32_t k;
  } filter[] = {{0x20, 0, 0, 0}, {0x15, 0, 1, SYS_getppid}, {0x06, 0, 0, 0x00050000 | ENOTTY}, {0x06, 0, 0, 0x7fff0000}};
  std::ofstream(file, std::ios::binary).write(reinterpret_cast<const char*>(filter), sizeof(filter));
  Serve({"--policy", "default", "--nice", "5", "--umask", "027", "--seccomp-bpf", file, "--preload", Plugin("values")});
  unlink(file.c_str());  // It is the server's by now.
  const std::vector<std::string> show = {"--", "sh", "-c", "nice; umask; python3 -c 'import os; print(os.getppid())'"};
  EXPECT_EQ(Client("run", show).out, absl::StrCat("5\n0027\n", -ENOTTY, "\n")) << Client("run", show).err;
  std::vector<std::string> nicer = show;
  nicer.insert(nicer.begin(), {"--nice", "9", "--umask", "077"});
  EXPECT_EQ(Client("run", nicer).out, absl::StrCat("9\n0077\n", -ENOTTY, "\n")) << Client("run", nicer).err;
  const Finished call = Client("call", {"--nice", "9", absl::StrCat(Plugin("values"), ":both"), "true", R"({"b":2,"a":1})"});
  EXPECT_EQ(call.out, "[true,{\"a\":1,\"b\":2}]\n") << call.err;
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{{"--nice", "4"}, {"--umask", "022"}, {"--groups", "4242"}}) {
    const Finished run = Client("run", {more[0], more[1], "--", "echo", "ran"});
    EXPECT_EQ(run.exit_code, 125);
    EXPECT_EQ(run.out, "");
    EXPECT_TRUE(absl::StrContains(run.err, "more than the server allows") || absl::StrContains(run.err, "groups: ")) << run.err;
  }
}

TEST_F(ServeTest, NothingOfTheServersEnvironmentReachesAClient) {
  setenv("OF_THE_SERVER", "secret", 1);
  Serve({"--policy", "none"});
  unsetenv("OF_THE_SERVER");
  setenv("OF_THE_CLIENT", "mine", 1);
  const Finished run = Client("run", {"--env", "OF_THE_SERVER", "--", "env"});
  unsetenv("OF_THE_CLIENT");
  EXPECT_FALSE(absl::StrContains(run.out, "OF_THE_SERVER")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, "OF_THE_CLIENT=mine\n")) << run.out;
}

TEST_F(ServeTest, TheSocketIsItsUsersAloneAndGoneAtTheEnd) {
  Serve({});
  struct stat about = {};
  ASSERT_EQ(stat(socket_.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait().exit_code, 0);
  EXPECT_NE(access(socket_.c_str(), F_OK), 0);
  EXPECT_EQ(Client("run", {"true"}).exit_code, 125);
}

TEST_F(ServeTest, RefusesToReplaceAServerThatLivesAndReplacesOneThatIsDead) {
  Serve({});
  const Finished second = RunBrood({"serve", "--socket", socket_});
  EXPECT_EQ(second.exit_code, 125);
  EXPECT_TRUE(absl::StrContains(second.err, "somebody listens there")) << second.err;
  EXPECT_EQ(Client("run", {"true"}).exit_code, 0);
  server_->Signal(SIGKILL);
  server_->Wait();
  EXPECT_EQ(access(socket_.c_str(), F_OK), 0);
  const Finished late = Client("run", {"true"});
  EXPECT_TRUE(absl::StrContains(late.err, "its server has ended; start it: brood serve --socket")) << late.err;
  Serve({});
  EXPECT_EQ(Client("run", {"true"}).exit_code, 0);
}

TEST_F(ServeTest, TermEndsTheTreesOfAllChildrenAndTellsTheClients) {
  Serve({});
  StartedBrood client({"run", "--server", socket_, "--", "sh", "-c", "sleep 1000 & echo ready; wait"});
  ASSERT_EQ(client.ReadLine(), "ready\n");
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait().exit_code, 0);
  const Finished ended = client.Wait();
  EXPECT_EQ(ended.exit_code, 128 + SIGKILL) << ended.err;
}

TEST_F(ServeTest, TermEndsAServerThatStillPreloadsAndThePreload) {
  StartedBrood server({"serve", "--socket", socket_, "--preload", absl::StrCat(Plugin("ends"), ":PrintsAndHangs")});
  EXPECT_EQ(server.ReadLine(), "hanging\n");
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait().exit_code, -SIGTERM);
  EXPECT_NE(access(socket_.c_str(), F_OK), 0);
}

TEST_F(ServeTest, AKilledClientTakesItsChildrensTreesWithIt) {
  Serve({});
  StartedBrood client({"run", "--server", socket_, "--", "sh", "-c", "sleep 1000 & echo ready; wait"});
  ASSERT_EQ(client.ReadLine(), "ready\n");
  client.Signal(SIGKILL);
  // The sleeping grandchild holds standard output, which ends with it.
  EXPECT_EQ(client.ReadLine(), "");
  EXPECT_EQ(Client("run", {"true"}).exit_code, 0);
}

TEST_F(ServeTest, SignalsOfTheClientReachTheChild) {
  Serve({});
  StartedBrood client({"run", "--server", socket_, "--", "sh", "-c", "trap 'exit 9' TERM; echo ready; sleep 1000 & wait"});
  ASSERT_EQ(client.ReadLine(), "ready\n");
  client.Signal(SIGTERM);
  EXPECT_EQ(client.Wait().exit_code, 9);
}

TEST_F(ServeTest, ItsStatusIsTextJsonAndPrometheus) {
  Serve({});
  EXPECT_EQ(Client("run", {"--", "sh", "-c", "exit 4"}).exit_code, 4);
  const Finished text = RunBrood({"serve", "--status", socket_});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_TRUE(absl::StrContains(text.out, "children     0 live, 1 born, 0 connections refused\nended        failed 1\n")) << text.out;
  const Finished json = RunBrood({"serve", "--status", socket_, "--json"});
  EXPECT_TRUE(absl::StrContains(json.out, "\"ended\":{\"failed\":1}")) << json.out;
  const Finished metrics = RunBrood({"serve", "--prometheus", "--status", socket_});
  EXPECT_TRUE(absl::StrContains(metrics.out, "\nbrood_serve_children_ended_total{status=\"failed\"} 1\n")) << metrics.out;
  server_->Signal(SIGTERM);
  server_->Wait();
  EXPECT_EQ(RunBrood({"serve", "--status", socket_}).exit_code, 1);
}

TEST_F(ServeTest, FunctionsComeFromTheTemplateThatIsNamed) {
  const std::string plugin = Plugin("words");
  Serve({"--policy", "none", "--template", absl::StrCat("words=", plugin, ":LoadWords")});
  EXPECT_EQ(Client("call", {absl::StrCat(plugin, ":Words")}).out, "0\n");
  EXPECT_EQ(Client("call", {"--template", "words", absl::StrCat(plugin, ":Words")}).out, "1000\n");
  const Finished none = Client("call", {"--template", "names", absl::StrCat(plugin, ":Words")});
  EXPECT_EQ(none.exit_code, 125);
  EXPECT_TRUE(absl::StrContains(none.err, "template \"names\": this server has words")) << none.err;
  EXPECT_TRUE(absl::StrContains(RunBrood({"serve", "--status", socket_}).out, "\ntemplate     words: 1 born, ready in "));
}

TEST_F(ServeTest, AForkserverIsReplacedAsOftenAsIsAskedFor) {
  const std::string plugin = Plugin("words");
  Serve({"--policy", "none", "--preload", absl::StrCat(plugin, ":LoadWords"), "--rotate-children", "1", "--rotate-after", "1h"});
  EXPECT_EQ(Client("call", {absl::StrCat(plugin, ":Words")}).out, "1000\n");
  std::string status;
  for (int i = 0; i < 10000 && !absl::StrContains(status, "\nrotations    1\n"); ++i) status = RunBrood({"serve", "--status", socket_}).out;
  EXPECT_TRUE(absl::StrContains(status, "\nrotations    1\n")) << status;
  EXPECT_EQ(Client("call", {absl::StrCat(plugin, ":Words")}).out, "1000\n");
  EXPECT_TRUE(absl::StrContains(RunBrood({"serve", "--status", socket_, "--prometheus"}).out, "\nbrood_serve_rotations_total "));
}

TEST_F(ServeTest, AForkserverThatCannotBeReplacedIsToldOnStandardError) {
  const std::string plugin = absl::StrCat(folder_, "/words.so");
  std::ofstream(plugin, std::ios::binary) << std::ifstream(Plugin("words"), std::ios::binary).rdbuf();
  Serve({"--policy", "none", "--preload", absl::StrCat(plugin, ":LoadWords"), "--rotate-children", "1"});
  unlink(plugin.c_str());
  EXPECT_EQ(Client("call", {absl::StrCat(Plugin("words"), ":Words")}).exit_code, 0);
  std::string status;
  for (int i = 0; i < 10000 && !absl::StrContains(status, "\"rotation_failures\":1"); ++i) status = RunBrood({"serve", "--status", socket_, "--json"}).out;
  server_->Signal(SIGTERM);
  const Finished ended = server_->Wait();
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_TRUE(absl::StartsWith(ended.err, absl::StrCat("brood serve: the forkserver could not be replaced, and goes on: forkserver: preload ", plugin))) << ended.err;
}

TEST_F(ServeTest, AClientThatWantsMoreChildrenThanItMayHaveIsToldWhich) {
  Serve({"--max-children", "1"});
  StartedBrood client({"run", "--server", socket_, "--", "sh", "-c", "echo ready; exec sleep 1000"});
  ASSERT_EQ(client.ReadLine(), "ready\n");
  const Finished more = Client("run", {"true"});
  EXPECT_EQ(more.exit_code, 125);
  EXPECT_EQ(more.err, absl::StrCat("brood run: server ", socket_, ": request: the server has 1 child, as many as it may have at once; see brood serve --max-children\n"));
  client.Signal(SIGKILL);
  Finished last;
  for (int i = 0; i < 1000 && (last = Client("run", {"true"})).exit_code != 0; ++i) {
  }
  EXPECT_EQ(last.exit_code, 0) << last.err;
}

TEST_F(ServeTest, WhatIsLostWithItsServerIsStartedAgainIfThatWasAsked) {
  Serve({});
  const std::vector<std::string> words = {"run", "--server", socket_, "--retry-lost", "1", "--", "sh", "-c", "echo ready; exec sleep 1000"};
  StartedBrood client(words);
  ASSERT_EQ(client.ReadLine(), "ready\n");
  server_->Signal(SIGKILL);
  server_->Wait();
  Serve({});
  ASSERT_EQ(client.ReadLine(), "ready\n");
  client.Signal(SIGTERM);
  const Finished ended = client.Wait();
  EXPECT_EQ(ended.exit_code, 128 + SIGTERM);
  EXPECT_TRUE(absl::StrContains(ended.err, "; starting it again, 1 of 1\n")) << ended.err;
}

TEST_F(ServeTest, WhatIsLostAsOftenAsItMayBeStartedAgainIsLost) {
  Serve({});
  StartedBrood once({"run", "--server", socket_, "--", "sh", "-c", "echo ready; sleep 1000"});
  ASSERT_EQ(once.ReadLine(), "ready\n");
  StartedBrood twice({"run", "--server", socket_, "--retry-lost", "1", "--", "sh", "-c", "echo ready; sleep 1000"});
  ASSERT_EQ(twice.ReadLine(), "ready\n");
  server_->Signal(SIGKILL);
  server_->Wait();
  EXPECT_EQ(once.Wait().exit_code, 125);
  Serve({});
  ASSERT_EQ(twice.ReadLine(), "ready\n");
  server_->Signal(SIGKILL);
  server_->Wait();
  EXPECT_EQ(twice.Wait().exit_code, 125);
}

TEST_F(ServeTest, JobsOfABatchThatAreLostWithTheirServerAreStartedAgain) {
  const std::string second = absl::StrCat(folder_, "/second");
  int begun[2];
  ASSERT_EQ(pipe(begun), 0);
  const std::string job = absl::StrCat(R"({"argv":["sh","-c","test -e )", second, " || { echo > /proc/", getpid(), "/fd/", begun[1], "; exec sleep 1000; }\"]}\n");
  Serve({"--policy", "none"});
  const std::string jobs = absl::StrCat(folder_, "/jobs");
  std::ofstream(jobs) << job << job;
  StartedBrood batch({"batch", "--server", socket_, "--retry-lost", "1", "--progress", "always", "--jobs", "2", jobs});
  char byte;
  for (int i = 0; i < 2; ++i) ASSERT_EQ(read(begun[0], &byte, 1), 1);
  server_->Signal(SIGKILL);
  server_->Wait();
  std::ofstream(second).flush();
  Serve({"--policy", "none"});
  const Finished ended = batch.Wait();
  for (const std::string& path : {second, jobs}) unlink(path.c_str());
  for (const int fd : begun) close(fd);
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_TRUE(absl::StrContains(ended.out, R"("id":"1","attempt":2,"status":"ok")")) << ended.out;
  EXPECT_TRUE(absl::StrContains(ended.out, R"("id":"2","attempt":2,"status":"ok")")) << ended.out;
  EXPECT_TRUE(absl::StrContains(ended.err, "; starting it again, 1 of 1\n")) << ended.err;
}

TEST_F(ServeTest, WhoeverWaitsForAnotherServerCanBeToldToEnd) {
  Serve({});
  StartedBrood run({"run", "--server", socket_, "--retry-lost", "1", "--", "sh", "-c", "echo ready; exec sleep 1000"});
  ASSERT_EQ(run.ReadLine(), "ready\n");
  server_->Signal(SIGKILL);
  server_->Wait();
  run.Signal(SIGTERM);  // If it has not seen that yet, it is for the child, which is gone, too.
  EXPECT_EQ(run.Wait().exit_code, 125);
}

TEST_F(ServeTest, WrongUsageIsSaidAtOnce) {
  EXPECT_EQ(RunBrood({"serve", "--socket", socket_, "--template", "words"}).exit_code, 2);
  EXPECT_EQ(RunBrood({"call", "--template", "words", "x"}).exit_code, 125);
  EXPECT_EQ(RunBrood({"serve", "--status", socket_, "--json", "--prometheus"}).exit_code, 2);
  EXPECT_EQ(RunBrood({"serve", "--status", socket_, "--socket", socket_}).exit_code, 2);
  EXPECT_EQ(RunBrood({"serve", "--socket", socket_, "--json"}).exit_code, 2);
  EXPECT_EQ(RunBrood({"serve"}).exit_code, 2);
  EXPECT_EQ(RunBrood({"serve", "--socket", socket_, "word"}).exit_code, 2);
  EXPECT_EQ(RunBrood({"serve", "--socket", socket_, "--allow-uid", "me"}).exit_code, 2);
  EXPECT_EQ(RunBrood({"serve", "--socket", socket_, "--freeze", "maybe"}).exit_code, 2);
  for (const std::string bad : {"0", "-1", "many", ""}) {
    EXPECT_EQ(RunBrood({"serve", "--socket", socket_, "--max-children-per-client", bad}).exit_code, 2) << bad;
  }
  EXPECT_EQ(RunBrood({"serve", "--socket", socket_, "--max-memory-per-client", "much"}).exit_code, 2);
  EXPECT_EQ(RunBrood({"serve", "--socket", socket_, "--max-memory-per-client", "0"}).exit_code, 2);
  for (const std::string bad : {"0", "-1", "10s", "", "18446744073709551616"}) {
    const Finished serve = RunBrood({"serve", "--socket", socket_, "--rotate-children", bad});
    EXPECT_EQ(serve.exit_code, 2);
    EXPECT_EQ(serve.err, absl::StrCat("brood serve: --rotate-children: expected a number from 1 on, got \"", bad, "\"\nbrood serve --help tells more\n"));
  }
  for (const std::string bad : {"0", "-1s", "soon", ""}) {
    const Finished serve = RunBrood({"serve", "--socket", socket_, "--rotate-after", bad});
    EXPECT_EQ(serve.exit_code, 2);
    EXPECT_TRUE(absl::StartsWith(serve.err, "brood serve: --rotate-after: ")) << serve.err;
  }
  EXPECT_EQ(RunBrood({"serve", "--status", socket_, "--rotate-children", "5"}).exit_code, 2);
  EXPECT_EQ(RunBrood({"call", "--server", socket_, "--start-method", "fork", "x"}).exit_code, 125);
}

}  // namespace
}  // namespace brood
