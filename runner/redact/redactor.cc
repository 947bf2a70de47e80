#include "runner/redact/redactor.h"

#include <hs/hs.h>

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <mutex>
#include <utility>

#include "runner/redact/encoders.h"

namespace bulkhead::redact {

namespace {

// Vectorscan bounds the length of a literal, so that long forms are searched in pieces, each masked.
constexpr size_t kLongestPiece = 1024;

struct Pattern {
  std::string bytes;
  uint32_t secret = 0;
};

struct Match {
  size_t begin = 0;
  size_t end = 0;
  uint32_t secret = 0;
};

// hs.h gives scratch space to one scan at a time.
struct FreeScratch {
  void operator()(hs_scratch_t* scratch) const { hs_free_scratch(scratch); }
};
using ScratchPtr = std::unique_ptr<hs_scratch_t, FreeScratch>;

struct FreeDatabase {
  void operator()(hs_database_t* database) const { hs_free_database(database); }
};

void AddPieces(const std::string& form, uint32_t secret, std::vector<Pattern>& patterns) {
  if (form.size() <= kLongestPiece) {
    patterns.push_back({form, secret});
    return;
  }
  for (size_t at = 0; at < form.size(); at += kLongestPiece) {
    // The last piece is a whole one as well: it laps over the one before.
    const size_t begin = std::min(at, form.size() - kLongestPiece);
    patterns.push_back({form.substr(begin, kLongestPiece), secret});
  }
}

}  // namespace

struct Redactor::State {
  std::vector<std::string> masks;  // by secret
  std::vector<Pattern> patterns;   // sorted by bytes, each once
  std::bitset<256> first_bytes;    // of patterns
  size_t shortest = SIZE_MAX;
  size_t longest = 0;
  std::unique_ptr<hs_database_t, FreeDatabase> database;  // null: no secrets
  mutable std::mutex mutex;
  mutable std::vector<ScratchPtr> scratches;  // guarded by mutex; at least one is kept as the model to clone

  ~State() {
    for (Pattern& pattern : patterns) Secret(std::move(pattern.bytes));  // wiped
  }

  ScratchPtr TakeScratch() const {
    const std::lock_guard lock(mutex);
    if (scratches.size() > 1) {
      ScratchPtr scratch = std::move(scratches.back());
      scratches.pop_back();
      return scratch;
    }
    hs_scratch_t* clone = nullptr;
    if (hs_clone_scratch(scratches.front().get(), &clone) != HS_SUCCESS) return nullptr;
    return ScratchPtr(clone);
  }
  void GiveScratch(ScratchPtr scratch) const {
    const std::lock_guard lock(mutex);
    scratches.push_back(std::move(scratch));
  }

  Status Compile();
  // All matches in `text`, by where they begin, the longest first. False: the search failed, and nothing
  // of the text may be trusted.
  bool Find(std::string_view text, hs_scratch_t* scratch, std::vector<Match>& matches) const;
  // The first position from which `text` could still become a match with more bytes.
  size_t FirstOpen(std::string_view text) const;
};

// Finds scratch space for the time of one operation.
class ScratchLease {
 public:
  explicit ScratchLease(const Redactor::State& state) : state_(state), scratch_(state.TakeScratch()) {}
  ~ScratchLease() {
    if (scratch_ != nullptr) state_.GiveScratch(std::move(scratch_));
  }
  ScratchLease(const ScratchLease&) = delete;
  ScratchLease& operator=(const ScratchLease&) = delete;
  hs_scratch_t* get() const { return scratch_.get(); }

 private:
  const Redactor::State& state_;
  ScratchPtr scratch_;
};

Status Redactor::State::Compile() {
  std::sort(patterns.begin(), patterns.end(), [](const Pattern& a, const Pattern& b) { return a.bytes < b.bytes; });
  patterns.erase(std::unique(patterns.begin(), patterns.end(),
                             [](const Pattern& a, const Pattern& b) { return a.bytes == b.bytes; }),
                 patterns.end());
  if (patterns.empty()) return OkStatus();
  std::vector<const char*> texts;
  std::vector<size_t> lengths;
  std::vector<unsigned> ids;
  for (size_t i = 0; i < patterns.size(); ++i) {
    texts.push_back(patterns[i].bytes.data());
    lengths.push_back(patterns[i].bytes.size());
    ids.push_back(static_cast<unsigned>(i));
    first_bytes.set(static_cast<uint8_t>(patterns[i].bytes[0]));
    shortest = std::min(shortest, patterns[i].bytes.size());
    longest = std::max(longest, patterns[i].bytes.size());
  }
  const std::vector<unsigned> flags(patterns.size(), 0);
  hs_database_t* compiled = nullptr;
  hs_compile_error_t* error = nullptr;
  if (hs_compile_lit_multi(texts.data(), flags.data(), ids.data(), lengths.data(),
                           static_cast<unsigned>(patterns.size()), HS_MODE_BLOCK, nullptr, &compiled,
                           &error) != HS_SUCCESS) {
    // The message may quote a pattern, which is a secret.
    hs_free_compile_error(error);
    return Error(Code::kInternal, "the secrets could not be compiled into a search");
  }
  database.reset(compiled);
  hs_scratch_t* scratch = nullptr;
  if (hs_alloc_scratch(database.get(), &scratch) != HS_SUCCESS)
    return Error(Code::kResourceExhausted, "no memory for the search for secrets");
  scratches.emplace_back(scratch);
  return OkStatus();
}

bool Redactor::State::Find(std::string_view text, hs_scratch_t* scratch, std::vector<Match>& matches) const {
  matches.clear();
  if (scratch == nullptr || text.size() > UINT32_MAX) return false;
  struct Context {
    const std::vector<Pattern>& patterns;
    std::vector<Match>& matches;
  } context = {patterns, matches};
  const auto on_match = [](unsigned id, unsigned long long, unsigned long long end, unsigned, void* raw) {
    auto* const found = static_cast<Context*>(raw);
    const Pattern& pattern = found->patterns[id];
    found->matches.push_back(
        {static_cast<size_t>(end) - pattern.bytes.size(), static_cast<size_t>(end), pattern.secret});
    return 0;
  };
  if (hs_scan(database.get(), text.data(), static_cast<unsigned>(text.size()), 0, scratch, on_match, &context) !=
      HS_SUCCESS)
    return false;
  std::sort(matches.begin(), matches.end(),
            [](const Match& a, const Match& b) { return a.begin != b.begin ? a.begin < b.begin : a.end > b.end; });
  return true;
}

size_t Redactor::State::FirstOpen(std::string_view text) const {
  size_t at = text.size() < longest ? 0 : text.size() - longest + 1;
  for (; at < text.size(); ++at) {
    if (!first_bytes.test(static_cast<uint8_t>(text[at]))) continue;
    const std::string_view tail = text.substr(at);
    const auto next =
        std::upper_bound(patterns.begin(), patterns.end(), tail,
                         [](std::string_view bytes, const Pattern& pattern) { return bytes < pattern.bytes; });
    if (next != patterns.end() && std::string_view(next->bytes).starts_with(tail)) return at;
  }
  return text.size();
}

Redactor::Redactor(std::unique_ptr<State> state) : state_(std::move(state)) {}
Redactor::~Redactor() = default;

Result<std::shared_ptr<const Redactor>> Redactor::Create(
    std::vector<NamedSecret> secrets) {  // NOLINT(performance-unnecessary-value-param): taken, so that they are wiped
  auto state = std::make_unique<State>();
  for (const NamedSecret& secret : secrets) {
    if (secret.bytes.Reveal().size() < kMinimumBytes) {
      return Error(Code::kInvalidInput,
                   "the secret \"" + secret.name + "\" is shorter than " + std::to_string(kMinimumBytes) +
                       " bytes: masking it would shred ordinary text and show where it stands; use a longer one");
    }
    const auto index = static_cast<uint32_t>(state->masks.size());
    state->masks.push_back("[REDACTED:" + secret.name + "]");
    for (const std::string& form : EncodedForms(secret.bytes.Reveal())) AddPieces(form, index, state->patterns);
  }
  BULKHEAD_TRY(state->Compile());
  return std::shared_ptr<const Redactor>(new Redactor(std::move(state)));
}

size_t Redactor::longest() const {
  return state_->longest;
}

// --- streams --------------------------------------------------------------------------------------

struct StreamRedactor::State {
  std::shared_ptr<const Redactor> redactor;
  std::string pending;      // seen, not yet given out
  size_t masked_until = 0;  // bytes of `pending` that a mask already stands for
  size_t masked = 0;
  std::vector<Match> matches;

  // Gives out `pending` up to `limit`. Overlapping matches become one mask, named for the first.
  void Emit(size_t limit, std::string& out) {
    const Redactor::State& rules = redactor->state();
    size_t at = std::min(masked_until, limit);
    size_t covered = masked_until;
    for (const Match& match : matches) {
      if (match.begin >= limit) break;
      if (match.begin < covered) {
        covered = std::max(covered, match.end);
        continue;
      }
      at = std::max(at, covered);
      out.append(pending, at, match.begin - at);
      out += rules.masks[match.secret];
      ++masked;
      covered = match.end;
      at = match.begin;
    }
    at = std::max(at, std::min(covered, limit));
    if (at < limit) out.append(pending, at, limit - at);
    masked_until = covered > limit ? covered - limit : 0;
    pending.erase(0, limit);
  }

  void Take(std::string_view chunk, bool end, hs_scratch_t* scratch, std::string& out) {
    const Redactor::State& rules = redactor->state();
    pending.append(chunk);
    if (!rules.Find(pending, scratch, matches)) {
      // Nothing is known of these bytes: none of them leaves.
      out += "[REDACTED: the search for secrets failed]";
      pending.clear();
      masked_until = 0;
      return;
    }
    Emit(end ? pending.size() : rules.FirstOpen(pending), out);
  }
};

StreamRedactor::StreamRedactor(std::shared_ptr<const Redactor> redactor) : state_(std::make_unique<State>()) {
  state_->redactor = std::move(redactor);
}
StreamRedactor::~StreamRedactor() = default;
StreamRedactor::StreamRedactor(StreamRedactor&&) noexcept = default;
StreamRedactor& StreamRedactor::operator=(StreamRedactor&&) noexcept = default;

void StreamRedactor::Write(std::string_view chunk, std::string& out) {
  const Redactor::State& rules = state_->redactor->state();
  if (rules.database == nullptr) {
    out += chunk;
    return;
  }
  const ScratchLease scratch(rules);
  state_->Take(chunk, false, scratch.get(), out);
}

void StreamRedactor::Finish(std::string& out) {
  const Redactor::State& rules = state_->redactor->state();
  if (rules.database == nullptr) return;
  const ScratchLease scratch(rules);
  state_->Take({}, true, scratch.get(), out);
}

size_t StreamRedactor::masked() const {
  return state_->masked;
}

// --- whole texts ----------------------------------------------------------------------------------

namespace {

// Whether a scan finds anything; true as well when it fails.
bool Finds(const Redactor::State& rules, std::string_view text, hs_scratch_t* scratch) {
  if (text.size() < rules.shortest) return false;
  const auto stop = [](unsigned, unsigned long long, unsigned long long, unsigned, void*) { return 1; };
  return scratch == nullptr || text.size() > UINT32_MAX ||
         hs_scan(rules.database.get(), text.data(), static_cast<unsigned>(text.size()), 0, scratch, stop, nullptr) !=
             HS_SUCCESS;
}

}  // namespace

std::string Redactor::Redact(std::string_view text, size_t* masked) const {
  if (!Contains(text)) return std::string(text);
  // The whole as one chunk of a stream: both give the same.
  StreamRedactor stream(std::shared_ptr<const Redactor>(std::shared_ptr<const Redactor>(), this));
  std::string out;
  stream.Write(text, out);
  stream.Finish(out);
  if (masked != nullptr) *masked += stream.masked();
  return out;
}

bool Redactor::Contains(std::string_view text) const {
  if (state_->database == nullptr || text.size() < state_->shortest) return false;
  const ScratchLease scratch(*state_);
  return Finds(*state_, text, scratch.get());
}

size_t Redactor::RedactTree(Value& value) const {
  if (state_->database == nullptr) return 0;
  size_t masked = 0;
  const ScratchLease scratch(*state_);
  const auto redact = [&](std::string& text) {
    if (Finds(*state_, text, scratch.get())) text = Redact(text, &masked);
  };
  const auto walk = [&](const auto& self, Value& node) -> void {
    if (node.is_string()) redact(node.text);
    for (Value& item : node.items) self(self, item);
    for (Member& member : node.members) {
      redact(member.key);
      self(self, member.value);
    }
  };
  walk(walk, value);
  return masked;
}

}  // namespace bulkhead::redact
