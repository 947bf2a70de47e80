// The command line: verbs, their options and their help.
//
// Verb and Option are handles, cheap to copy, good as long as their CommandLine is. What an option sets must live as
// long. This is the only face of CLI11 here: its templates cost each file that sees them many times what our own code
// does. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace bulkhead::cli {

class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option Required() const;
  // What stands for the value in the help: "FILE", "PATH...".
  Option ValueName(const char* text) const;
  // The help tells what the option is now.
  Option ShowDefault() const;
  // Taken from this variable when the command line does not give it.
  Option Environment(const char* name) const;
  Option OneOf(const std::vector<std::string>& values) const;
  Option Between(uint64_t least, uint64_t most) const;
  // "a,b" are two values.
  Option Separator(char separator) const;

  // Once parsed: whether it was given.
  bool Given() const;

 private:
  CLI::Option* option_;
};

class Verb {
 public:
  explicit Verb(CLI::App* app) : app_(app) {}

  Verb AddVerb(const char* name, const char* text) const;
  // One of the verbs that were added must follow.
  void NeedsVerb() const;

  // `names`: "-o,--output", or "FILE" for an argument without a flag.
  Option AddOption(const char* names, std::string& value, const char* text) const;
  Option AddOption(const char* names, std::vector<std::string>& values, const char* text) const;
  Option AddOption(const char* names, int& value, const char* text) const;
  Option AddOption(const char* names, size_t& value, const char* text) const;
  Option AddFlag(const char* names, bool& value, const char* text) const;

  // One of several words, each of which stands for a value.
  template <typename Value>
  Option AddChoice(const char* names, Value& value, std::vector<std::pair<std::string_view, Value>> choices,
                   const char* text) const {
    std::vector<std::string> words;
    words.reserve(choices.size());
    for (const auto& choice : choices) words.emplace_back(choice.first);
    return AddWord(names, words, text,
                   [&value, choices = std::move(choices)](size_t index) { value = choices[index].second; });
  }

  // The help's last part.
  void Footer(const char* text) const;
  // Called while parsing, when this verb was given and all its options are set.
  void OnGiven(std::function<void()> call) const;

 private:
  Option AddWord(const char* names, const std::vector<std::string>& words, const char* text,
                 std::function<void(size_t)> set) const;

  CLI::App* app_;
};

class CommandLine {
 public:
  CommandLine(const char* name, const char* text, const char* version);
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;
  ~CommandLine();

  // The program itself.
  Verb top() const;

  // The exit code when the program is to end: the help was asked for and is printed, or something is wrong and told.
  std::optional<int> Parse(int argc, char** argv);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace bulkhead::cli
