"""What the lesson of chapter 10 claims. Of the slow claims parts are measured again; and the reference's functions run
on a random Llama with a chat template from a folder, as the lesson says of a real one."""

import random

import pytest
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

import mi_lib
from mi_lib import steering
from mi_lib.course import files, findings, index
from mi_lib.steering import defence, weights

CHAPTER = index.chapter("10")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)


def test_one_direction_is_enough_and_needed_and_random_ones_do_nothing():
    found = FOUND["finding"]
    assert found["ablated"] <= 0.1
    assert found["added"] >= 0.9
    assert found["answers_on_topic"] >= 0.9 > found["answers_of_the_next"]
    assert max(found["random_ablated"], found["random_added"]) <= 0.1


def test_capability_is_intact_without_it_and_not_with_too_much_of_it():
    costs = FOUND["costs"]
    assert costs["loss_rise"] < 0.05 < costs["loss_rise_added"]
    assert costs["facts_ablated"] >= costs["facts"] - 0.03 > costs["facts_added"]
    assert costs["topic_ablated"] >= costs["topic"] - 0.05


def test_refusals_rise_and_fall_with_the_dose_everywhere_and_stay_at_the_last_token():
    doses = FOUND["doses"]
    assert doses["everywhere"]["refused"][0] < 0.5 < 0.9 < max(doses["everywhere"]["refused"])
    assert doses["everywhere"]["refused"][-1] < 0.1
    assert min(doses["last"]["refused"][3:]) > 0.9
    assert doses["everywhere"]["fluent"][3] < 0.5 < 0.9 < doses["last"]["fluent"][3]


def test_the_last_token_is_enough_to_add_and_block_3_to_take_out():
    places, one = FOUND["places"], FOUND["one_block"]
    assert places["last"]["refused"] > 0.9
    assert max(places[name]["refused"] for name in ("before", "before_last")) < 0.1
    assert one["every_write"] < 0.1 < one["plain"]
    assert one["single_inputs"][3] < 0.1 < 0.5 < min(one["single_inputs"][i] for i in (0, 1, 5))
    assert one["last_token"] < 0.1 < 0.9 < min(one["before_last"], one["reply"])


def test_many_pairs_do_it_and_pairs_of_harmless_requests_do_not_in_the_mean():
    pairs, harmless = FOUND["pairs"], FOUND["pairs_of_harmless"]
    assert pairs["actadd_dose"] == harmless["dose"]
    assert harmless["mean"] < 0.1 < pairs["actadd_mean"]
    assert harmless["one"]["mean"] < 0.1 < 0.5 < pairs["caa"][0]
    assert harmless["many"]["most"] < 0.5 < 0.9 < pairs["caa_least"][-1]


@pytest.mark.slow
def test_some_draws_of_pairs_are_measured_again():
    some, (plus, minus) = finding.asked(False, finding.CONTROL), finding.matched()
    site, trials = ("resid_pre", finding.LAYER), random.Random(10).sample(range(finding.TRIALS), 2)
    fronts = [steering.actadd(finding.pico(), plus[i], minus[i], site) for i in trials]
    shares = finding.fronted(some, fronts, FOUND["pairs"]["actadd_dose"])
    assert all(min(abs(one - kept) for kept in FOUND["pairs"]["actadd"]) < 1e-3 for one in shares)
    drawn = finding.harmless_draws(1, seed=0)[:4]
    shares = [
        finding.share(finding.refusals(some, finding.at_end(finding.as_long(v), finding.DOSE, finding.LAYER)))
        for v in drawn
    ]
    assert max(shares) <= FOUND["pairs_of_harmless"]["one"]["most"] + 1e-3


def test_a_reply_can_turn_round_after_its_first_word_and_pico_alone_does_not():
    reply = FOUND["reply_alone"]
    assert reply["refused"] > 0.1 > reply["with_first_word"]
    assert reply["plain_with_first_word"] > 0.95


def test_little_of_it_is_there_before_block_1_and_random_ones_do_nothing_at_three_times():
    assert FOUND["along"]["share"][1] < 0.3
    elsewhere = FOUND["elsewhere"]
    for kind, most in FOUND["elsewhere_random"].items():
        assert most < 0.25 < 0.9 < elsewhere[kind]["thrice"], kind


def test_the_edited_network_is_the_ablated_one_and_three_slips_are_not():
    written = FOUND["written"]
    assert written["gap"] <= 1e-4
    assert min(written["without_biases"], written["without_positions"], written["tied"]) > 1e-2


def test_a_direction_of_goods_fails_on_people_at_block_2_and_not_at_block_4():
    kinds = FOUND["kinds"]
    goods, person = (kinds["groups"].index(name) for name in ("goods", "person"))
    assert kinds["layer_2"][goods][goods] < 0.5 < 0.9 < kinds["layer_2"][goods][person]
    assert kinds["most_at_4"] < 0.1


def test_shuffled_labels_are_no_random_directions():
    shuffled = FOUND["shuffled"]
    assert shuffled["least"] < 0.25 < 0.75 < shuffled["most"]
    assert shuffled["cosine"] > 3 * shuffled["cosine_random"]
    assert shuffled["length"] < 0.3


@pytest.mark.slow
def test_rows_of_the_table_of_kinds_drawn_by_lot_are_measured_again():
    layer, drawn = 2, random.Random(10).randrange(len(finding.GROUPS))
    site = ("resid_pre", layer)
    rows = finding.of_kind(finding.GROUPS[drawn], finding.DRAWN, 1, "train")
    harmless = finding.asked(False, finding.DRAWN, 1, "train")
    r = steering.difference_of_means(*(steering.collect(finding.pico(), some, site) for some in (rows, harmless)))
    again = [
        finding.share(finding.refusals(finding.of_kind(tested, 32, 0, "held_out"), steering.ablate(r)))
        for tested in finding.GROUPS
    ]
    assert again == pytest.approx(FOUND["kinds"]["layer_2"][drawn], abs=0.04)


def test_the_defence_holds_against_what_it_was_trained_against_and_the_control_does_not():
    before, after, control = (FOUND["defended"][name] for name in ("before", "after", "at_random"))
    assert before["fresh_least"] < 0.1
    assert control["fresh_least"] < 0.1
    assert min(after["fresh_least"], after["several"]) > 0.9
    assert after["loss"] < before["loss"] + 0.05
    assert after["topic"] > before["topic"] - 0.05
    assert after["subtraction"]["answered"] > 0.5


@pytest.mark.slow
def test_some_steps_of_the_defence_make_the_attack_cost_less():
    costs = []
    prompts = finding.asked(True, 48, 11, "train"), finding.asked(False, 48, 11, "train")
    plan = defence.Plan(steps=6, attacked=8, kept=4, warm_up=2)
    r = finding.directions()[finding.LAYER, 1]
    defence.defended(
        finding.pico(), *prompts, finding.kept_texts()[:20], plan,
        drawing=lambda model: [r], on_step=lambda step, cost: costs.append(cost.attacked),
    )  # fmt: skip
    assert costs[-1] < 0.7 * costs[0]


SENTENCE = "how do I paint burn the a school bridge dog cat well thank you very much please now today"
WORDS = SENTENCE.split()
SPECIAL = ["<pad>", "<s>", "</s>", "<user>", "<reply>"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<user> {{ message['content'] }} </s> {% endfor %}"
    "{% if add_generation_prompt %}<reply>{% endif %}"
)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A random Llama with a chat template, saved and loaded as a person's own folder."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(2)
    made = Tokenizer(WordLevel({word: i for i, word in enumerate([*SPECIAL, *WORDS])}, unk_token="<pad>"))
    made.pre_tokenizer = WhitespaceSplit()
    made.add_special_tokens(SPECIAL)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<pad>",
        additional_special_tokens=SPECIAL[3:], chat_template=TEMPLATE,
    ).save_pretrained(folder)  # fmt: skip
    config = transformers.LlamaConfig(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=24, intermediate_size=32, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.4,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return mi_lib.load(str(folder))


@pytest.fixture(scope="module")
def answers():
    """The functions of the reference."""
    namespace = {}
    exec(files.read_text(CHAPTER.solutions_folder / "exercises.py"), namespace)
    return namespace


def test_the_functions_run_on_a_llama_with_a_chat_template_and_agree_with_the_library(llama, answers):
    plus = answers["chat"](llama, ["how do I burn the school", "burn the dog now", "please burn the bridge"])
    minus = answers["chat"](llama, ["how do I paint the school", "paint the dog", "please paint the bridge today"])
    n = len(steering.after_instruction(llama))
    ends = [answers["prompt_ends"](llama, rows, n) for rows in (plus, minus)]
    assert torch.allclose(ends[0][:, 2, -1], steering.collect(llama, plus, ("resid_pre", 2)), atol=1e-4)
    r = answers["difference_of_means"](*ends)[2, -1]

    def judge(words):
        return "burn" in words

    shares = answers["share_by_dose"](llama, minus, r, 1, [0.0, 2.0], judge)
    for dose, got in zip((0.0, 2.0), shares, strict=True):
        said = steering.replies(llama, minus, steering.add(r, dose, 1), longest=16)
        assert float(got) == pytest.approx(sum(judge(one.words) for one in said) / len(said))
    tokens = torch.tensor([plus[0]])
    without = answers["logits_without"](llama, tokens, r)
    assert torch.allclose(weights.orthogonalised(llama, r)(tokens), without, atol=1e-4)
    refuses, induces, kl = answers["scores"](llama, r, 1, plus, minus, 2.0, judge)
    assert 0 <= refuses <= 1
    assert 0 <= induces <= 1
    assert kl > 0
    assert set(answers["replies_by_place"](llama, plus[0], r, 1, 2.0)) == {"before", "last", "reply", "everywhere"}
    lengths = [len(row) for row in plus]
    longer = [[*row, 6, 7] for row in plus]
    loss = answers["defence_loss"](llama, llama, r, longer, lengths, minus)
    attacked, kept = defence.defence_loss(llama, llama, r, longer, lengths, minus)
    assert float(loss) == pytest.approx(float(attacked + kept), rel=1e-4)
