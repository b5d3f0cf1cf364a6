"""Tiny diffusion pipelines of random weights, saved as their makers save them; without diffusers there are none."""

import json

import pytest

CHANNELS = (32, 64)


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory):
    """`pipelines("sd")`: a folder; sd (9 channels), sd4, sdxl, sd3, flux, kandinsky, prior, ddpm."""
    pytest.importorskip("diffusers")
    pytest.importorskip("transformers")
    import torch

    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("pipelines") / f"tiny-{kind}"
            with torch.random.fork_rng():
                torch.manual_seed(0)
                BUILDERS[kind](made[kind]).save_pretrained(made[kind])
        return made[kind]

    return folder


def words(place):
    """CLIP's tokenizer over the 256 byte symbols."""
    import transformers

    codes = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = [chr(code) for code in codes] + [chr(256 + i) for i in range(256 - len(codes))]
    known = [*symbols, *(f"{symbol}</w>" for symbol in symbols), "<|startoftext|>", "<|endoftext|>"]
    place.mkdir(parents=True, exist_ok=True)
    (place / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(known)}))
    (place / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(str(place / "vocab.json"), str(place / "merges.txt"), model_max_length=77)


def t5_words():
    import tokenizers
    import transformers

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((chr(97 + i), -3.0) for i in range(26))]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    return transformers.T5TokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )


def clip(projected=False, hidden=32):
    import transformers

    config = transformers.CLIPTextConfig(
        vocab_size=514,
        hidden_size=hidden,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
        projection_dim=hidden,
    )
    return (transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel)(config).eval()


def t5(hidden=32):
    import transformers

    config = transformers.T5Config(vocab_size=30, d_model=hidden, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    return transformers.T5EncoderModel(config).eval()


def vae(latent=4, **more):
    import diffusers

    return diffusers.AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=latent,
        block_out_channels=[8] * 4,
        norm_num_groups=4,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        **more,
    ).eval()


def unet(channels, cross=32, **more):
    import diffusers

    return diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=channels,
        out_channels=4,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
        norm_num_groups=8,
        cross_attention_dim=cross,
        attention_head_dim=8,
        **more,
    ).eval()


def steps():
    import diffusers

    return diffusers.PNDMScheduler(beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1)


def sd(channels, inpainting=True):
    def build(place):
        import diffusers

        kind = diffusers.StableDiffusionInpaintPipeline if inpainting else diffusers.StableDiffusionPipeline
        return kind(
            vae(),
            clip(),
            words(place / "tokenizer"),
            unet(channels),
            steps(),
            None,
            None,
            requires_safety_checker=False,
        )

    return build


def sdxl(place):
    import diffusers

    network = unet(
        9,
        64,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=32 + 48,
        transformer_layers_per_block=1,
        use_linear_projection=True,
    )
    tokenizers = words(place / "tokenizer"), words(place / "tokenizer_2")
    scheduler = diffusers.EulerDiscreteScheduler(steps_offset=1)
    return diffusers.StableDiffusionXLInpaintPipeline(
        vae(), clip(), clip(projected=True), *tokenizers, network, scheduler, requires_aesthetics_score=False
    )


def sd3(place):
    import diffusers

    network = diffusers.SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=16,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        out_channels=16,
    )
    return diffusers.StableDiffusion3InpaintPipeline(
        transformer=network,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae(16, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1, scaling_factor=1.3),
        text_encoder=clip(projected=True),
        tokenizer=words(place / "tokenizer"),
        text_encoder_2=clip(projected=True),
        tokenizer_2=words(place / "tokenizer_2"),
        text_encoder_3=None,
        tokenizer_3=None,
    )


def flux(place):
    import diffusers

    network = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=2 * 16 + 256,
        out_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=[4, 4, 8],
        guidance_embeds=True,
    )
    return diffusers.FluxFillPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        transformer=network,
        vae=vae(4, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1, scaling_factor=1.3),
        text_encoder=clip(),
        tokenizer=words(place / "tokenizer"),
        text_encoder_2=t5(),
        tokenizer_2=t5_words(),
    )


def kandinsky(place):
    import diffusers

    network = diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=9,
        out_channels=8,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        addition_embed_type="image",
        cross_attention_dim=32,
        encoder_hid_dim=32,
        encoder_hid_dim_type="image_proj",
        class_embed_type=None,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
        down_block_types=["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"],
        up_block_types=["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
    ).eval()
    movq = diffusers.VQModel(
        block_out_channels=[32, 32, 64, 64],
        down_block_types=["DownEncoderBlock2D"] * 3 + ["AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * 3,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=8,
        norm_type="spatial",
        num_vq_embeddings=12,
        vq_embed_dim=4,
    ).eval()
    scheduler = diffusers.DDIMScheduler(steps_offset=1, clip_sample=False, beta_schedule="linear")
    return diffusers.KandinskyV22InpaintPipeline(network, scheduler, movq)


def prior(place):
    import diffusers
    import transformers

    network = diffusers.PriorTransformer(
        num_attention_heads=2, attention_head_dim=12, embedding_dim=32, num_layers=1, num_embeddings=77
    )
    network.clip_std.data.fill_(1.0)
    vision = transformers.CLIPVisionConfig(
        hidden_size=32,
        image_size=32,
        projection_dim=32,
        num_attention_heads=4,
        intermediate_size=37,
        patch_size=16,
        num_hidden_layers=1,
    )
    processor = transformers.CLIPImageProcessor(size=32, crop_size=32)
    return diffusers.KandinskyV22PriorPipeline(
        prior=network,
        image_encoder=transformers.CLIPVisionModelWithProjection(vision).eval(),
        text_encoder=clip(projected=True),
        tokenizer=words(place / "tokenizer"),
        scheduler=diffusers.UnCLIPScheduler(
            variance_type="fixed_small_log", prediction_type="sample", num_train_timesteps=100, clip_sample_range=5.0
        ),
        image_processor=processor,
    )


def ddpm(place):
    import diffusers

    network = diffusers.UNet2DModel(
        sample_size=16,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=["DownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "UpBlock2D"],
    ).eval()
    return diffusers.DDPMPipeline(network, diffusers.DDPMScheduler(num_train_timesteps=20))


BUILDERS = {
    "sd": sd(9),
    "sd4": sd(4, inpainting=False),
    "sdxl": sdxl,
    "sd3": sd3,
    "flux": flux,
    "kandinsky": kandinsky,
    "prior": prior,
    "ddpm": ddpm,
}
